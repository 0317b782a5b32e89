//! Parameters that many endpoints have. Only their description: what reads them is in `params`.

#![expect(dead_code, reason = "they describe what is asked; nothing makes one")]

use utoipa::IntoParams;

use super::super::params::{LARGEST_PAGE, PAGE};

/// A page, counted from the start of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Paged {
    /// Number of the page, from 0.
    #[param(minimum = 0)]
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

const _: () = assert!(PAGE == 50 && LARGEST_PAGE == 100, "the descriptions say so");
