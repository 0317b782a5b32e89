//! stub for now
#![allow(missing_docs)]
pub struct State;
impl State {
    pub fn new(
        _: std::sync::Arc<crate::store::Store>,
        _: std::sync::Arc<crate::jobs::Engine>,
        _: crate::tokens::Tokens,
        _: u64,
    ) -> Self {
        Self
    }
}
pub fn serve(
    _: State,
    _: std::net::TcpListener,
    _: Option<impl Future<Output = ()>>,
    _: std::time::Duration,
) -> std::io::Result<()> {
    Ok(())
}
