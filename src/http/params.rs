//! What a request asks for in its query: filters, pages, fields. Unknown parameters are let be.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::web::{Path, Query};
use actix_web::{FromRequest, HttpRequest};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::error::{ApiError, Place};

/// The parameters of one request.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Those of `request`.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let parsed = Query::<Vec<(String, String)>>::from_query(request.query_string());
        let parsed = parsed.map_err(|fault| ApiError::invalid(Place::Query, fault.to_string(), None))?;
        Ok(Self(parsed.into_inner()))
    }

    /// All values of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.0.iter().filter(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// A text; if it is given more than once, the last one.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rfind(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A whole number of `least` to `most`.
    pub(super) fn whole(
        &self,
        name: &'static str,
        least: usize,
        most: usize,
    ) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let refuse = |rule: String| Err(ApiError::invalid(Place::Query, rule, name));
        match text.parse::<i128>() {
            Err(_) => refuse("Expected type integer but found type string".to_owned()),
            Ok(value) if value < least as i128 => {
                refuse(format!("Value {value} is less than minimum {least}"))
            }
            Ok(value) => match usize::try_from(value) {
                Ok(value) if value <= most => Ok(Some(value)),
                _ => refuse(format!("Value {value} is greater than maximum {most}")),
            },
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => {
                let rule = "Expected type boolean but found type string";
                Err(ApiError::invalid(Place::Query, rule, name))
            }
        }
    }
}

/// One page of a list, counted from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Entries before it.
    pub(super) start: usize,
    /// Entries it has at most.
    pub(super) limit: usize,
    /// Whether the number of all entries is wanted, too.
    pub(super) totals: bool,
}

/// Entries of a page, unless another number is asked for.
pub(super) const PAGE: usize = 50;
/// Entries of a page at most.
pub(super) const LARGEST_PAGE: usize = 100;
/// Highest number of a page. Nobody gets there; it keeps the product within 32 bits.
pub(super) const LAST_PAGE: usize = 10_000_000;

impl Page {
    /// `page`, `per_page` and `include_totals`.
    pub(super) fn of(params: &Params) -> Result<Self, ApiError> {
        let number = params.whole("page", 0, LAST_PAGE)?.unwrap_or(0);
        let limit = params.whole("per_page", 1, LARGEST_PAGE)?.unwrap_or(PAGE);
        let totals = params.flag("include_totals")?.unwrap_or(false);
        Ok(Self { start: number * limit, limit, totals })
    }
}

/// A place in a list by the key of the last entry seen, and how many more are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checkpoint<K> {
    /// Only entries with a higher key.
    pub(super) after: Option<K>,
    /// How many at most.
    pub(super) take: usize,
}

impl<K: FromStr> Checkpoint<K> {
    /// `from` and `take`, if either is there; `most` is the largest that `take` may be.
    pub(super) fn of(params: &Params, most: usize) -> Result<Option<Self>, ApiError> {
        let take = params.whole("take", 1, most)?;
        let after = match params.text("from") {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|_| {
                let rule = "Expected the value of next from an earlier answer";
                ApiError::invalid(Place::Query, rule, "from")
            })?),
        };
        let wanted = take.is_some() || after.is_some();
        Ok(wanted.then(|| Self { after, take: take.unwrap_or(PAGE) }))
    }
}

/// The id in a request's path. A malformed one is refused when it is asked for and not before, so that
/// everybody has to show his token first.
#[derive(Debug)]
pub(super) struct Id<T>(Result<T, String>);

impl<T> Id<T> {
    /// The id.
    pub(super) fn get(self) -> Result<T, ApiError> {
        self.0.map_err(|rule| ApiError::invalid(Place::Path, rule, "id"))
    }
}

impl<T: FromStr<Err: fmt::Display>> FromRequest for Id<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = Path::<String>::from_request(request, &mut Payload::None).into_inner();
        let text = found.map_err(|fault| fault.to_string());
        ready(Ok(Self(text.and_then(|text| text.parse().map_err(|fault: T::Err| fault.to_string())))))
    }
}

/// Which properties of each object are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fields {
    /// Every one.
    All,
    /// These.
    Only(Vec<String>),
    /// Every one but these.
    Without(Vec<String>),
}

impl Fields {
    /// `fields` and `include_fields`.
    pub(super) fn of(params: &Params) -> Result<Self, ApiError> {
        let include = params.flag("include_fields")?.unwrap_or(true);
        let names = params.text("fields").unwrap_or_default().split(',');
        let names = names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let names: Vec<String> = names.collect();
        Ok(match include {
            _ if names.is_empty() => Self::All,
            true => Self::Only(names),
            false => Self::Without(names),
        })
    }

    /// The wanted properties of `view`; numbers and texts in them stay as they are written.
    pub(super) fn select(&self, view: &impl Serialize) -> Result<Box<RawValue>, ApiError> {
        let whole = to_raw_value(view).map_err(ApiError::internal)?;
        let is_wanted = |name: &String| match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
            Self::Without(names) => !names.contains(name),
        };
        if *self == Self::All {
            return Ok(whole);
        }
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_str(whole.get()).map_err(ApiError::internal)?;
        let kept = members.into_iter().filter(|(name, _)| is_wanted(name));
        to_raw_value(&kept.collect::<BTreeMap<_, _>>()).map_err(ApiError::internal)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::json;

    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&TestRequest::with_uri(&format!("/?{query}")).to_http_request()).unwrap()
    }

    #[test]
    fn pages_are_counted_from_zero_and_have_bounds() {
        let page = |query: &str| Page::of(&params(query)).map_err(|error| error.to_string());
        assert_eq!(page("").unwrap(), Page { start: 0, limit: 50, totals: false });
        let asked = page("page=2&per_page=10&include_totals=true&include_fields=maybe").unwrap();
        assert_eq!(asked, Page { start: 20, limit: 10, totals: true });
        let refused = [
            ("per_page=x", "'Expected type integer but found type string' on property per_page."),
            ("per_page=", "'Expected type integer but found type string' on property per_page."),
            ("per_page=0", "'Value 0 is less than minimum 1' on property per_page."),
            ("per_page=101", "'Value 101 is greater than maximum 100' on property per_page."),
            ("page=-1", "'Value -1 is less than minimum 0' on property page."),
            (
                "page=18446744073709551615",
                "'Value 18446744073709551615 is greater than maximum 10000000' on property page.",
            ),
            ("include_totals=1", "'Expected type boolean but found type string' on property include_totals."),
        ];
        for (query, message) in refused {
            assert_eq!(page(query).unwrap_err(), format!("Query validation error: {message}"));
        }
    }

    #[test]
    fn a_checkpoint_is_there_when_it_is_asked_for() {
        let checkpoint = |query: &str| Checkpoint::<u32>::of(&params(query), LARGEST_PAGE).ok();
        assert_eq!(checkpoint("page=1"), Some(None));
        let from_start = Checkpoint { after: None, take: 50 };
        assert_eq!(checkpoint("take=50&from="), Some(Some(from_start)));
        assert_eq!(checkpoint("from=7"), Some(Some(Checkpoint { after: Some(7), take: 50 })));
        assert_eq!(checkpoint("from=x"), None);
        assert_eq!(checkpoint("take=101"), None);
    }

    #[test]
    fn fields_are_chosen_without_touching_their_values() {
        let view = RawValue::from_string(r#"{"b":1.0e400,"a":"\ud800","c":null}"#.to_owned());
        let view = view.unwrap();
        let select = |query: &str| {
            let fields = Fields::of(&params(query)).unwrap();
            fields.select(&view).unwrap().get().to_owned()
        };
        assert_eq!(select(""), view.get());
        assert_eq!(select("include_fields=true"), view.get());
        assert_eq!(select("fields=b,a,x"), r#"{"a":"\ud800","b":1.0e400}"#);
        assert_eq!(select("fields=a%2Cb&include_fields=false"), r#"{"c":null}"#);
    }

    #[test]
    fn a_parameter_given_twice_is_a_list_or_its_last_value() {
        let params = params("strategy=auth0&strategy=sms&name=a&name=b%20c");
        assert_eq!(params.all("strategy"), ["auth0", "sms"]);
        assert_eq!(params.text("name"), Some("b c"));
        assert_eq!(json!(params.text("other")), json!(null));
    }
}
