//! Parameters that many endpoints have. Only their description: what reads them is in `params`.

#![expect(clippy::struct_field_names, reason = "the names the API gives them")]
#![expect(dead_code, reason = "they describe what is asked; nothing makes one")]

use utoipa::IntoParams;
use utoipa::openapi::{RefOr, Schema};

use super::super::params::{LARGEST_PAGE, LAST_PAGE, PAGE};
use super::{code, text};
use crate::search::Sort;

/// A page, counted from the start of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Paged {
    /// Number of the page, from 0.
    #[param(minimum = 0, maximum = 10_000_000)]
    page: Option<u32>,
    /// Entries of a page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    per_page: Option<u32>,
    /// Whether the answer is an object that tells how many entries there are.
    include_totals: Option<bool>,
}

/// A page from a checkpoint.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct From {
    /// What an earlier answer gave as `next`.
    from: Option<String>,
    /// Entries at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    take: Option<u32>,
}

/// Which properties are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Narrowed {
    /// Names of properties, separated by commas.
    fields: Option<String>,
    /// Whether those are the only ones shown (the default), or the ones left out.
    include_fields: Option<bool>,
}

/// A page of a list whose first thousand entries can be paged through.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PagedToThousand {
    /// Number of the page, from 0; `(page + 1) * per_page` is 1000 at most.
    #[param(minimum = 0, maximum = 999)]
    page: Option<u32>,
    /// Entries of a page.
    #[param(minimum = 1, maximum = 100, default = 50)]
    per_page: Option<u32>,
    /// Whether the answer is an object that tells how many entries there are.
    include_totals: Option<bool>,
}

/// How much of a job is told.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Progress {
    /// `progress` asks for more than clients of this API know.
    #[param(pattern = "^progress$")]
    include: Option<String>,
}

/// Which faults are told, and in which form.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Faults {
    /// `code` asks in how many rows there is each kind of fault.
    #[param(pattern = "^code$")]
    group_by: Option<String>,
    /// Only rows with a fault of this kind.
    #[param(schema_with = code)]
    code: Option<String>,
    /// The first row.
    #[param(minimum = 0, maximum = 9_007_199_254_740_992_u64)]
    from: Option<u64>,
    /// Rows at most.
    #[param(minimum = 1, maximum = 100, default = 50)]
    take: Option<u32>,
}

/// Which users, and in which order.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Search {
    /// Who: `email:"ann@acme.test" AND NOT blocked:true`, in the syntax of Lucene. All users if nothing is said.
    q: Option<String>,
    /// The name of a field, and 1, or -1 for the other direction: `created_at:-1`.
    #[param(schema_with = sort)]
    sort: Option<String>,
    /// The syntax of `q`.
    #[param(pattern = r"^(v3|\s*)$")]
    search_engine: Option<String>,
}

fn sort() -> RefOr<Schema> {
    let fields: Vec<String> = Sort::fields().map(|name| name.replace('.', r"\.")).collect();
    let pattern = format!(r"^(({}|(app|user)_metadata(\..*)?):-?1|\s*)$", fields.join("|"));
    text().pattern(Some(pattern)).into()
}

const _: () =
    assert!(PAGE == 50 && LARGEST_PAGE == 100 && LAST_PAGE == 10_000_000, "the descriptions say so");
