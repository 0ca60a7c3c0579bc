//! Chain specs of the networks that tests name.

use serde_json::Value;

use crate::error::InputResult;
use crate::spec::{Spec, json};

/// The chain spec of a test's network. `config` is the case's own, for chain id and blob schedule.
///
/// # Errors
/// Names `network` when nobody knows it, or the part of `config` that is malformed.
pub fn spec_of(network: &str, config: Option<&Value>) -> InputResult<Spec> {
    let config = config.and_then(Value::as_object);
    let chain_id = match config.and_then(|config| config.get("chainid")) {
        Some(id) => json::u64("config.chainid", id)?,
        None => 1,
    };
    Spec::of_network(network, chain_id, config)
}
