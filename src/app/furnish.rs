//! What a server has from its settings: the declared clients, connections and log streams that are missing,
//! and a client and a connection where there would be none. What is there already is never changed, but for
//! connections that are enabled for nobody: the new client is enabled for those.

use std::fmt;
use std::time::SystemTime;

use serde_json::Value;

use super::{StartError, options};
use crate::config::{DeclaredClient, DeclaredConnection, DeclaredStream, Settings};
use crate::domain::{
    Client, ClientGrant, Connection, ConnectionId, GrantId, LogStream, Owed, PASSWORD_POLICY, Scope,
    StreamId, StreamStatus,
};
use crate::store::Store;
use crate::tokens;

/// Name of the connection that is made when none is declared.
pub const DEFAULT_CONNECTION: &str = "Username-Password-Authentication";
/// Name of the client that is made when none is declared.
const DEFAULT_CLIENT: &str = "Default client";
/// The ways to ask for tokens that there are; clients made here may use all, unless it is said otherwise.
const OUR_GRANT_TYPES: [&str; 3] =
    ["client_credentials", "password", "http://auth0.com/oauth/grant-type/password-realm"];

/// A client made at this start; its secret cannot be had again later.
#[derive(Clone)]
pub struct NewClient {
    /// Public id.
    pub id: String,
    /// What it proves itself with.
    pub secret: String,
}

impl fmt::Debug for NewClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewClient").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Makes what is missing; tells the client nobody has declared.
pub(super) fn furnish(store: &Store, settings: &Settings) -> Result<Option<NewClient>, StartError> {
    for declared in &settings.clients {
        furnish_client(store, declared)?;
    }
    let stored = store.connections()?;
    for declared in &settings.connections {
        match stored.iter().find(|stored| stored.name == declared.name.as_str()) {
            None => drop(store.create_connection(connection_of(store, declared)?, Owed::nothing())?),
            Some(stored) if !is_as_declared(stored, declared) => note_difference("connection", &stored.name),
            Some(_) => {}
        }
    }
    for declared in &settings.log_streams {
        furnish_stream(store, settings, declared)?;
    }
    // At last, because its secret is lost if the start fails after this.
    let new_client = if store.clients()?.is_empty() { Some(make_client(store)?) } else { None };
    if let Some(client) = &new_client {
        enable_nobodys(store, client)?;
    }
    if store.connections()?.is_empty() {
        let clients = store.clients()?.into_iter().map(|client| client.id).collect();
        let id = ConnectionId::from_entropy(tokens::random()?);
        store.create_connection(
            Connection::database(id, DEFAULT_CONNECTION.to_owned(), clients),
            Owed::nothing(),
        )?;
    }
    Ok(new_client)
}

/// Enables the connections for the client that are enabled for nobody: it is the only one there is.
fn enable_nobodys(store: &Store, client: &NewClient) -> Result<(), StartError> {
    for connection in store.connections()?.iter().filter(|connection| connection.enabled_clients.is_empty()) {
        let enable = |one: &mut Connection| one.enabled_clients.push(client.id.clone());
        store.update_connection(&connection.id, enable, Owed::nothing())?;
    }
    Ok(())
}

fn furnish_stream(store: &Store, settings: &Settings, declared: &DeclaredStream) -> Result<(), StartError> {
    let DeclaredStream { name, sink, filters } = declared.clone();
    let is_it = |stored: &LogStream| stored.declared_as.as_deref().unwrap_or(&stored.name) == name;
    if let Some(stored) = store.streams()?.into_iter().find(is_it) {
        if stored.sink != sink || stored.filters != filters {
            note_difference("log stream", &name);
        }
        return Ok(());
    }
    let options = options::streams(settings);
    let checked = options.targets.check(&sink.endpoint);
    checked.map_err(|fault| StartError::Target { stream: name.clone(), fault })?;
    let id = StreamId::from_entropy(tokens::random()?);
    let created_at = SystemTime::now().into();
    let declared_as = Some(name.clone());
    let status = StreamStatus::Active;
    let stream = LogStream { id, name, declared_as, status, sink, filters, created_at };
    Ok(store.create_stream(&stream, None, options.max_streams, Owed::nothing())?)
}

fn furnish_client(store: &Store, declared: &DeclaredClient) -> Result<(), StartError> {
    let client = client_of(
        &declared.client_id,
        &declared.name,
        declared.secret.expose(),
        declared.grant_types.as_deref(),
    );
    let Some(stored) = store.client(&client.id)? else {
        return Ok(store.create_client(
            &client,
            Some(&grant_of(&client, &declared.scopes)?),
            Owed::nothing(),
        )?);
    };
    let scopes = store.grant_for(&client.id, None)?.map(|grant| grant.scope).unwrap_or_default();
    let is_as_declared = stored.name == client.name
        && tokens::same_hash(&stored.secret_hash, &client.secret_hash)
        && (declared.grant_types.is_none()
            || stored.settings.get("grant_types") == client.settings.get("grant_types"))
        && scopes.iter().eq(declared.scopes.iter().map(|scope| scope.name()));
    if !is_as_declared {
        note_difference("client", &client.id);
    }
    Ok(())
}

fn note_difference(kind: &str, name: &str) {
    tracing::warn!("{kind} {name} is declared otherwise than it is stored; what is stored stays");
}

fn is_as_declared(stored: &Connection, declared: &DeclaredConnection) -> bool {
    stored.strategy == declared.strategy.as_str()
        && stored.enabled_clients == declared.clients
        && declared.id.as_ref().is_none_or(|id| *id == stored.id)
        && declared.password_policy.as_deref().is_none_or(|policy| is_policy(stored, policy))
}

fn is_policy(connection: &Connection, policy: &str) -> bool {
    connection.options.get(PASSWORD_POLICY).is_some_and(|stored| stored == policy)
}

fn make_client(store: &Store) -> Result<NewClient, StartError> {
    let new = NewClient { id: tokens::random_text(32)?, secret: tokens::random_text(64)? };
    let client = client_of(&new.id, DEFAULT_CLIENT, &new.secret, None);
    store.create_client(&client, Some(&grant_of(&client, Scope::ALL)?), Owed::nothing())?;
    Ok(new)
}

fn client_of(id: &str, name: &str, secret: &str, grant_types: Option<&[String]>) -> Client {
    let all = || OUR_GRANT_TYPES.map(Value::from).to_vec().into();
    let settings = [
        ("app_type", Value::from("non_interactive")),
        ("grant_types", grant_types.map_or_else(all, Value::from)),
    ];
    Client {
        id: id.to_owned(),
        name: name.to_owned(),
        secret_hash: tokens::secret_hash(secret),
        settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

fn grant_of(client: &Client, scopes: &[Scope]) -> Result<ClientGrant, StartError> {
    Ok(ClientGrant {
        id: GrantId::from_entropy(tokens::random()?),
        client_id: client.id.clone(),
        audience: None,
        scope: scopes.iter().map(ToString::to_string).collect(),
    })
}

fn connection_of(store: &Store, declared: &DeclaredConnection) -> Result<Connection, StartError> {
    for client in &declared.clients {
        if store.client(client)?.is_none() {
            return Err(StartError::UnknownClient {
                connection: declared.name.as_str().to_owned(),
                client: client.clone(),
            });
        }
    }
    let id = match &declared.id {
        Some(id) => id.clone(),
        None => ConnectionId::from_entropy(tokens::random()?),
    };
    let name = declared.name.as_str().to_owned();
    let strategy = declared.strategy.as_str().to_owned();
    let mut connection = Connection { strategy, ..Connection::database(id, name, declared.clients.clone()) };
    if !connection.is_database() {
        connection.options.clear();
    }
    if let Some(policy) = &declared.password_policy {
        connection.options.insert(PASSWORD_POLICY.to_owned(), policy.clone().into());
    }
    Ok(connection)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn what_opens_doors_is_in_no_debug_output() {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        let text = r#"
            [mail]
            smtp_user = "intake"
            smtp_password = "MARKsmtp"
            [metrics]
            token = "MARKmetrics0123456789"
            [[clients]]
            client_id = "app"
            client_secret = "MARKclient0123456789"
            [[log_streams]]
            name = "one"
            endpoint = "https://a.test/?key=MARKendpoint"
            authorization = "MARKauthorization"
            headers = { x-key = "MARKheader" }
        "#;
        std::fs::write(file.path(), text).unwrap();
        let settings = Settings::load(Some(file.path()), std::iter::empty()).unwrap();
        let new = NewClient { id: "app".to_owned(), secret: "MARKnew".to_owned() };
        let client = client_of("app", "name", "secret", None);
        let letter = crate::domain::Letter {
            to: "MARKann@example.test".to_owned(),
            subject: "MARKsubject".to_owned(),
            text: "https://a.test/?ticket=MARKticket".to_owned(),
            html: "MARKhtml".to_owned(),
            message_id: "one".to_owned(),
            written_at: SystemTime::now().into(),
        };
        for shown in [
            format!("{settings:#?}"),
            format!("{new:?}"),
            format!("{client:?}{:?}", client.secret_hash.len()),
            format!("{letter:?}"),
            format!("{:?}", Owed { letters: vec![letter], ..Owed::nothing() }),
        ] {
            assert!(!shown.contains("MARK") && !shown.contains("secret_hash"), "{shown}");
        }
    }
}
