//! Lists in the forms clients ask for them: whole, a page counted from the start, a page from a checkpoint.

use std::fmt;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::json;
use super::params::{Checkpoint, LARGEST_PAGE, Page, Params};

/// What of a list is wanted; its entries are in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape<K> {
    /// Everything.
    All,
    /// A page.
    Page(Page),
    /// A page from a checkpoint.
    Checkpoint(Checkpoint<K>),
}

/// What was chosen from a list.
#[derive(Debug)]
pub(super) struct Chosen<'a, T, K> {
    /// The entries.
    pub(super) entries: Vec<&'a T>,
    /// How many there are to choose from.
    total: usize,
    /// The key to go on after, if there are more.
    next: Option<K>,
}

impl<K: FromStr + Ord> Shape<K> {
    /// Everything, unless a page is asked for.
    pub(super) fn of(params: &Params) -> Result<Self, ApiError> {
        let shape = Self::in_pages(params)?;
        let asked = ["page", "per_page"].into_iter().any(|name| params.text(name).is_some());
        Ok(match shape {
            Self::Page(Page { totals: false, .. }) if !asked => Self::All,
            shape => shape,
        })
    }

    /// A page in any case.
    pub(super) fn in_pages(params: &Params) -> Result<Self, ApiError> {
        let page = Page::of(params)?;
        let checkpoint = Checkpoint::of(params, LARGEST_PAGE)?;
        Ok(checkpoint.map_or(Self::Page(page), Self::Checkpoint))
    }

    /// The wanted ones of `all`, which have to be in the order of their keys.
    pub(super) fn choose<'a, T>(&self, all: &'a [T], key: impl Fn(&T) -> K) -> Chosen<'a, T, K> {
        let chosen = |entries| Chosen { entries, total: all.len(), next: None };
        match self {
            Self::All => chosen(all.iter().collect()),
            Self::Page(page) => chosen(all.iter().skip(page.start).take(page.limit).collect()),
            Self::Checkpoint(Checkpoint { after, take }) => {
                let is_new = |one: &&T| after.as_ref().is_none_or(|after| *after < key(one));
                let mut rest = all.iter().filter(is_new);
                let entries: Vec<_> = rest.by_ref().take(*take).collect();
                let next = rest.next().and(entries.last()).map(|last| key(last));
                Chosen { next, ..chosen(entries) }
            }
        }
    }
}

impl<K> Shape<K> {
    /// The answer with what was chosen, each as it is to be seen; objects call it `name`.
    pub(super) fn answer<T>(
        &self,
        name: &'static str,
        chosen: &Chosen<T, K>,
        views: &[Box<RawValue>],
    ) -> Result<HttpResponse, ApiError>
    where
        K: fmt::Display,
    {
        let head = match self {
            Self::All | Self::Page(Page { totals: false, .. }) => return json(StatusCode::OK, &views),
            Self::Page(page) => {
                vec![
                    ("start", page.start.into()),
                    ("limit", page.limit.into()),
                    ("total", chosen.total.into()),
                ]
            }
            Self::Checkpoint(_) => {
                chosen.next.iter().map(|next| ("next", Value::from(next.to_string()))).collect()
            }
        };
        json(StatusCode::OK, &Listed { head, name, views })
    }
}

/// A page in an object.
struct Listed<'a> {
    head: Vec<(&'static str, Value)>,
    name: &'static str,
    views: &'a [Box<RawValue>],
}

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.head.len() + 1))?;
        for (name, value) in &self.head {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(self.name, self.views)?;
        map.end()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn numbers(query: &str) -> (Vec<u32>, Option<u32>) {
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        let shape = Shape::of(&Params::of(&request).unwrap()).unwrap();
        let chosen = shape.choose(&[1, 2, 3, 4, 5], |number| *number);
        (chosen.entries.into_iter().copied().collect(), chosen.next)
    }

    #[test]
    fn a_list_comes_whole_in_pages_or_from_a_checkpoint() {
        assert_eq!(numbers(""), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(numbers("page=1&per_page=2"), (vec![3, 4], None));
        assert_eq!(numbers("page=9"), (vec![], None));
        assert_eq!(numbers("include_totals=true&per_page=4"), (vec![1, 2, 3, 4], None));
        assert_eq!(numbers("take=2"), (vec![1, 2], Some(2)));
        assert_eq!(numbers("take=2&from=2&include_totals=true"), (vec![3, 4], Some(4)));
        assert_eq!(numbers("take=2&from=4"), (vec![5], None));
        assert_eq!(numbers("take=5"), (vec![1, 2, 3, 4, 5], None));
    }
}
