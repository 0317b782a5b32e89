//! What a certificate in use promises.
