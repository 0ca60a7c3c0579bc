//! Base fee cases: a list of parents with their gas and fee, and the fee of the block after each.

use serde_json::Value;

use super::case::{CaseResult, Outcome, Skip, decide, outcome_of};
use super::networks::spec_of;
use crate::error::{InputError, InputResult};
use crate::header::Header;
use crate::spec::json;

/// Gas limit of a block: this times its target (EIP-1559).
const ELASTICITY: u64 = 2;

/// Largest change of the base fee: 1 / this.
const CHANGE_DENOMINATOR: i128 = 8;

/// The fee by the draft of EIP-1559 that some cases were made with: it falls at the target already, and rounds away from
/// the parent's fee downwards.
fn draft_fee(parent: &alloy_consensus::Header) -> u64 {
    let target = i128::from(parent.gas_limit / ELASTICITY).max(1);
    let fee = i128::from(parent.base_fee_per_gas.unwrap_or_default());
    let scaled = fee * (i128::from(parent.gas_used) - target);
    let change = scaled.div_euclid(target).div_euclid(CHANGE_DENOMINATOR);
    let change = if scaled > 0 { change.max(1) } else { change.min(-1) };
    u64::try_from(fee + change).unwrap_or_default()
}

/// Run every case of a file.
///
/// # Errors
/// When the file is not of the format.
pub fn base_fee_test(name: &str, bytes: &[u8]) -> InputResult<Vec<CaseResult>> {
    let value: Value = json::parse("json", bytes)?;
    let cases = value.as_array().ok_or_else(|| InputError::new("json", "a list of cases", "another value"))?;
    let spec = spec_of("London", None)?;
    let run = |(index, case): (usize, &Value)| {
        CaseResult::new(
            format!("{name}/{index}"),
            "London",
            decide(|| {
                let number = |key: &str| json::u64(key, case.get(key).unwrap_or(&Value::Null));
                let parent = alloy_consensus::Header {
                    base_fee_per_gas: Some(number("parentBaseFee")?),
                    gas_used: number("parentGasUsed")?,
                    gas_limit: number("parentTargetGasUsed")?.saturating_mul(ELASTICITY),
                    ..Default::default()
                };
                if parent.gas_used > parent.gas_limit {
                    return Ok(Outcome::Skipped(Skip::Parent));
                }
                let (fee, wanted) = (spec.next_base_fee(&Header::new(parent.clone()))?, number("expectedBaseFee")?);
                if fee != wanted && wanted == draft_fee(&parent) {
                    return Ok(Outcome::Skipped(Skip::Draft));
                }
                let failure = (fee != wanted).then(|| format!("base fee {fee}, expected {wanted}"));
                Ok(outcome_of(&failure.into_iter().collect::<Vec<_>>()))
            }),
        )
    };
    Ok(cases.iter().enumerate().map(run).collect())
}
