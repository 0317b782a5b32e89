//! Sends what is in the outbox; names lettre.
