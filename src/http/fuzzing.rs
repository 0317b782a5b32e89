//! What must hold of a form and of a question to the log, whatever the bytes.

pub use super::logs::fuzzing::log_query;
pub use super::upload::fuzzing::multipart_form;
