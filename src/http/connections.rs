//! `GET /api/v2/connections` and `…/{id}`: where users can go.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;

use super::auth::{Granted, ReadConnections};
use super::error::ApiError;
use super::params::{Checkpoint, Fields, Page, Params};
use super::views::ConnectionView;
use super::{MAX_FILE_SIZE_HEADER, State, json};
use crate::domain::{Connection, ConnectionId};
use crate::store::Store;

/// Connections by `strategy` (may be repeated) and `name`. A bare array, or with `page`,
/// `per_page` a page of it, with `include_totals` the page in an object, with `from`, `take` a
/// page from a checkpoint.
pub(super) async fn list(
    _: Granted<ReadConnections>,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let params = Params::of(&request)?;
    let shape = Shape::of(&params)?;
    let fields = Fields::of(&params)?;
    let mut connections = state.store(Store::connections).await?;
    let (strategies, name) = (params.all("strategy"), params.text("name"));
    connections.retain(|connection| {
        (strategies.is_empty() || strategies.contains(&connection.strategy.as_str()))
            && name.is_none_or(|name| connection.name == name)
    });
    connections.sort_by_key(|connection| connection.number);
    let chosen = choose(&connections, shape);
    let views = chosen.entries.iter().map(|connection| fields.select(&view(connection)));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let answer = match shape {
        Shape::All | Shape::Page(Page { totals: false, .. }) => json(StatusCode::OK, &views),
        Shape::Page(Page { start, limit, .. }) => {
            let total = connections.len();
            json(StatusCode::OK, &WithTotals { start, limit, total, connections: views })
        }
        Shape::Checkpoint(_) => {
            let next = chosen.next.map(|number| number.to_string());
            json(StatusCode::OK, &WithNext { next, connections: views })
        }
    };
    Ok(with_limit(answer?, &state))
}

/// One connection.
pub(super) async fn show(
    _: Granted<ReadConnections>,
    request: HttpRequest,
    state: Data<State>,
    id: Path<ConnectionId>,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::of(&Params::of(&request)?)?;
    let connection = state.store(move |store| store.connection(&id)).await?;
    let connection = connection.ok_or(ApiError::NoSuchConnection)?;
    let answer = json(StatusCode::OK, &fields.select(&view(&connection))?)?;
    Ok(with_limit(answer, &state))
}

fn view(connection: &Connection) -> ConnectionView<'_> {
    connection.into()
}

/// Adds how large an upload may be: those who choose a connection are about to make one.
fn with_limit(mut answer: HttpResponse, state: &State) -> HttpResponse {
    let name = HeaderName::from_static(MAX_FILE_SIZE_HEADER);
    answer.headers_mut().insert(name, HeaderValue::from(state.max_file_size));
    answer
}

/// The forms a list can be asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    All,
    Page(Page),
    Checkpoint(Checkpoint),
}

impl Shape {
    fn of(params: &Params) -> Result<Self, ApiError> {
        let page = Page::of(params)?;
        if let Some(checkpoint) = Checkpoint::of(params)? {
            return Ok(Self::Checkpoint(checkpoint));
        }
        let in_pages = params.text("page").or(params.text("per_page")).is_some() || page.totals;
        Ok(if in_pages { Self::Page(page) } else { Self::All })
    }
}

struct Chosen<'a> {
    entries: Vec<&'a Connection>,
    /// The number to go on after, if there are more.
    next: Option<u32>,
}

fn choose(connections: &[Connection], shape: Shape) -> Chosen<'_> {
    match shape {
        Shape::All => Chosen { entries: connections.iter().collect(), next: None },
        Shape::Page(page) => {
            let entries = connections.iter().skip(page.start).take(page.limit).collect();
            Chosen { entries, next: None }
        }
        Shape::Checkpoint(Checkpoint { after, take }) => {
            let is_new = |one: &&Connection| after.is_none_or(|number| one.number > number);
            let mut rest = connections.iter().filter(is_new);
            let entries: Vec<_> = rest.by_ref().take(take).collect();
            let next = rest.next().and(entries.last()).map(|last| last.number);
            Chosen { entries, next }
        }
    }
}

#[derive(Serialize)]
struct WithTotals {
    start: usize,
    limit: usize,
    total: usize,
    connections: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct WithNext {
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    connections: Vec<Box<RawValue>>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn connections(count: u32) -> Vec<Connection> {
        let id: ConnectionId = "con_8dQ2xYz0aBcD1eFg".parse().unwrap();
        let one = |number| Connection {
            number,
            ..Connection::database(id.clone(), format!("db-{number}"), Vec::new())
        };
        (1..=count).map(one).collect()
    }

    fn numbers(query: &str) -> (Vec<u32>, Option<u32>) {
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        let shape = Shape::of(&Params::of(&request).unwrap()).unwrap();
        let connections = connections(5);
        let chosen = choose(&connections, shape);
        (chosen.entries.iter().map(|connection| connection.number).collect(), chosen.next)
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
