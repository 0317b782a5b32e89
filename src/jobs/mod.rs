//! stub
#![allow(missing_docs, unused_variables)]
use crate::domain::*;
use crate::store::Store;
use std::sync::Arc;
#[derive(Debug)]
pub struct Engine;
impl Engine {
    pub fn start(store: Arc<Store>, workers: std::num::NonZeroUsize) -> Arc<Self> {
        unimplemented!()
    }
    /// Tells the engine that a job was enqueued.
    pub fn ring(&self) {}
    /// Whole percent of an unfinished job, never going backwards, at most 99.
    pub fn percentage_done(&self, job: &Job) -> u8 {
        0
    }
    pub fn time_left_seconds(&self, job: &Job) -> u64 {
        0
    }
    /// Stops at the next safe point, waits for the workers.
    pub fn stop(&self) {}
}
