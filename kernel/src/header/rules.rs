//! What a header must be after its parent, and a block's ommers after its ancestors, on the rules of every fork.
//!
//! Seals (Ethash, signatures of Clique and of BFT engines, votes of the beacon chain) are not checked, nor is whether a
//! time lies in the future.

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::{B64, B256, U256};

use super::Header;
use super::block::Attached;
use crate::exec::sequential::BlockInvalid;
use crate::spec::blob::GAS_PER_BLOB;
use crate::spec::{Engine, Fork, PowParent, Spec, dao};

/// Most bytes of extra data (yellow paper 4.3.4), where no signers stand in it.
const EXTRA_DATA_BYTES_MAX: usize = 32;
/// Least gas limit (yellow paper 4.3.4).
const GAS_LIMIT_MIN: u64 = 5_000;
/// Largest gas limit (EIP-4803).
const GAS_LIMIT_MAX: u64 = i64::MAX as u64;
/// The gas limit moves by less than the parent's divided by this.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1_024;
/// The first block of London may have this many times the gas limit (EIP-1559).
const ELASTICITY: u64 = 2;
/// Most bytes of a block from Osaka on (EIP-7934): 10 MiB less 2 MiB for the beacon block around it.
pub const BLOCK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most ommers of a block.
const OMMERS_MAX: usize = 2;
/// How many blocks back an ommer's parent may lie.
pub const OMMER_ANCESTORS: usize = 7;

type Checked = Result<(), BlockInvalid>;

fn refuse(code: &'static str, message: impl Into<String>) -> Checked {
    Err(BlockInvalid::new(None, code, message))
}

fn expect(holds: bool, code: &'static str, message: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { refuse(code, message()) }
}

/// Whether the block with that header is made by proof of stake. `parent_total_difficulty` decides where it is given and
/// the chain has a terminal one; else a block without difficulty from London on is.
fn is_proof_of_stake(spec: &Spec, header: &Header, parent: &Header, parent_total_difficulty: Option<U256>) -> bool {
    let inner = &header.inner;
    match (spec.terminal_total_difficulty(), parent_total_difficulty) {
        (Some(terminal), _) if terminal.is_zero() => true,
        (Some(terminal), Some(total)) => total >= terminal,
        (Some(_), None) => {
            let after_one = parent.inner.difficulty.is_zero() && parent.inner.number > 0;
            after_one || inner.difficulty.is_zero() && spec.fork(inner.number, inner.timestamp) >= Fork::London
        }
        (None, _) => spec.fork(inner.number, inner.timestamp) >= Fork::Paris,
    }
}

/// Check a header against its parent's, whose rules it followed itself.
///
/// `parent_total_difficulty` is the sum of difficulties up to the parent, where the caller keeps it: without it the
/// merge is taken to be where difficulties end.
///
/// # Errors
/// The first rule that the header breaks.
pub fn check_header(spec: &Spec, header: &Header, parent: &Header, parent_total_difficulty: Option<U256>) -> Checked {
    let (inner, before) = (&header.inner, &parent.inner);
    expect(inner.parent_hash == parent.hash, "unknown_parent", || {
        format!("parent hash {}, expected {}", inner.parent_hash, parent.hash)
    })?;
    expect(before.number.checked_add(1) == Some(inner.number), "invalid_number", || {
        format!("number {} after {}", inner.number, before.number)
    })?;
    let signed = spec.engine() != Engine::Ethash;
    let proof_of_stake = is_proof_of_stake(spec, header, parent, parent_total_difficulty);
    let later = if signed && !proof_of_stake {
        inner.timestamp >= before.timestamp
    } else {
        inner.timestamp > before.timestamp
    };
    expect(later, "invalid_timestamp", || format!("timestamp {} after {}", inner.timestamp, before.timestamp))?;
    expect(signed || inner.extra_data.len() <= EXTRA_DATA_BYTES_MAX, "extra_data_too_long", || {
        format!("{} bytes of extra data, at most {EXTRA_DATA_BYTES_MAX}", inner.extra_data.len())
    })?;
    check_gas(spec, header, parent)?;
    if proof_of_stake {
        check_proof_of_stake(header)?;
    } else {
        check_before_the_merge(spec, header, parent)?;
    }
    check_forks(spec, header, parent)
}

fn check_gas(spec: &Spec, header: &Header, parent: &Header) -> Checked {
    let (inner, before) = (&header.inner, &parent.inner);
    let (used, limit) = (inner.gas_used, inner.gas_limit);
    expect(used <= limit, "invalid_gas_used", || format!("gas used {used} above the limit {limit}"))?;
    let london = spec.fork(inner.number, inner.timestamp) >= Fork::London;
    let first = london && spec.fork(before.number, before.timestamp) < Fork::London;
    let base = if first { before.gas_limit.saturating_mul(ELASTICITY) } else { before.gas_limit };
    let moved = base.abs_diff(limit);
    let bounds = (GAS_LIMIT_MIN..=GAS_LIMIT_MAX).contains(&limit) && moved < base / GAS_LIMIT_BOUND_DIVISOR;
    expect(bounds, "invalid_gas_limit", || format!("gas limit {limit} after {base}"))?;
    let next =
        || spec.next_base_fee(parent).map_err(|error| BlockInvalid::new(None, "invalid_base_fee", error.to_string()));
    let wanted = london.then(next).transpose()?;
    expect(inner.base_fee_per_gas == wanted, "invalid_base_fee", || {
        format!("base fee {:?}, expected {wanted:?}", inner.base_fee_per_gas)
    })
}

fn check_proof_of_stake(header: &Header) -> Checked {
    // EIP-3675: what belonged to proof of work is constant.
    let inner = &header.inner;
    expect(inner.difficulty.is_zero(), "invalid_difficulty", || {
        format!("difficulty {}, expected 0", inner.difficulty)
    })?;
    expect(inner.nonce == B64::ZERO, "invalid_nonce", || format!("nonce {}, expected 0", inner.nonce))?;
    expect(inner.ommers_hash == EMPTY_OMMER_ROOT_HASH, "invalid_ommers_hash", || "ommers after the merge".to_owned())
}

fn check_before_the_merge(spec: &Spec, header: &Header, parent: &Header) -> Checked {
    let inner = &header.inner;
    if spec.engine() == Engine::Ethash {
        let wanted = spec.next_difficulty(&PowParent::from(&parent.inner), inner.timestamp);
        expect(inner.difficulty == wanted, "invalid_difficulty", || {
            format!("difficulty {}, expected {wanted}", inner.difficulty)
        })?;
    } else {
        expect(!inner.difficulty.is_zero(), "invalid_difficulty", || "difficulty 0 before the merge".to_owned())?;
    }
    if let Some(first) = spec.dao_block()
        && (first..first.saturating_add(dao::EXTRA_DATA_BLOCKS)).contains(&inner.number)
    {
        expect(*inner.extra_data == *dao::EXTRA_DATA, "invalid_dao_extra_data", || {
            format!("extra data {}, expected that of the DAO fork", inner.extra_data)
        })?;
    }
    Ok(())
}

/// Fields that forks brought: there from their fork on, never before.
fn check_forks(spec: &Spec, header: &Header, parent: &Header) -> Checked {
    let inner = &header.inner;
    let fork = spec.fork(inner.number, inner.timestamp);
    let field = |there: bool, first: Fork, code: &'static str| {
        expect(there == (fork >= first), code, || {
            format!(
                "{} {} {}",
                code.trim_start_matches("invalid_"),
                if there { "in" } else { "missing in" },
                fork.name()
            )
        })
    };
    field(inner.withdrawals_root.is_some(), Fork::Shanghai, "invalid_withdrawals_root")?;
    field(inner.blob_gas_used.is_some(), Fork::Cancun, "invalid_blob_gas_used")?;
    field(inner.excess_blob_gas.is_some(), Fork::Cancun, "invalid_excess_blob_gas")?;
    field(inner.parent_beacon_block_root.is_some(), Fork::Cancun, "invalid_parent_beacon_block_root")?;
    field(inner.requests_hash.is_some(), Fork::Prague, "invalid_requests_hash")?;
    if let Some(used) = inner.blob_gas_used {
        let most = spec.blob_rules(inner.timestamp).map_or(0, |rules| rules.gas_max());
        expect(used <= most && used.is_multiple_of(GAS_PER_BLOB), "invalid_blob_gas_used", || {
            format!("blob gas used {used}, expected whole blobs up to {most}")
        })?;
    }
    let wanted = spec.next_excess_blob_gas(parent, inner.timestamp);
    expect(inner.excess_blob_gas == wanted, "invalid_excess_blob_gas", || {
        format!("excess blob gas {:?}, expected {wanted:?}", inner.excess_blob_gas)
    })
}

/// Check what a block carries beside its transactions against its header, except ommers against ancestors
/// ([`check_ommers`]). Transactions, receipts and requests show by executing it. `bytes` is the length of its RLP.
///
/// # Errors
/// The first rule that it breaks.
pub fn check_attached(spec: &Spec, header: &Header, attached: &Attached, bytes: usize) -> Checked {
    let inner = &header.inner;
    let fork = spec.fork(inner.number, inner.timestamp);
    expect(inner.ommers_hash == attached.ommers_hash(), "invalid_ommers_hash", || "another ommers hash".to_owned())?;
    expect(attached.withdrawals.is_some() == (fork >= Fork::Shanghai), "invalid_withdrawals", || {
        format!(
            "a list of withdrawals {} in {}",
            if attached.withdrawals.is_some() { "stands" } else { "misses" },
            fork.name()
        )
    })?;
    if let Some(root) = inner.withdrawals_root {
        expect(root == attached.withdrawals_root(), "invalid_withdrawals_root", || {
            "another withdrawals root".to_owned()
        })?;
    }
    expect(fork < Fork::Osaka || bytes <= BLOCK_BYTES_MAX, "block_too_large", || {
        format!("{bytes} bytes, at most {BLOCK_BYTES_MAX}")
    })
}

/// An ancestor of a block: its header, and the hashes of its own ommers.
#[derive(Debug, Clone)]
pub struct Ancestor {
    pub header: Header,
    pub ommers: Vec<B256>,
}

/// Check the ommers of the block with `header` (yellow paper 4.3.1). `ancestors` are its parent and up to
/// [`OMMER_ANCESTORS`] in all, newest first; fewer only at the chain's begin.
///
/// # Errors
/// The first rule that an ommer breaks.
pub fn check_ommers(spec: &Spec, header: &Header, ommers: &[Header], ancestors: &[Ancestor]) -> Checked {
    expect(ommers.len() <= OMMERS_MAX, "too_many_ommers", || format!("{} ommers, at most {OMMERS_MAX}", ommers.len()))?;
    if ommers.is_empty() {
        return Ok(());
    }
    expect(spec.engine() == Engine::Ethash, "ommers_not_allowed", || "ommers on a chain without work".to_owned())?;
    let ancestors = &ancestors[..ancestors.len().min(OMMER_ANCESTORS)];
    for (index, ommer) in ommers.iter().enumerate() {
        let again = ommers[..index].iter().any(|other| other.hash == ommer.hash)
            || ancestors.iter().any(|ancestor| ancestor.ommers.contains(&ommer.hash));
        expect(!again, "duplicate_ommer", || format!("ommer {} is one already", ommer.hash))?;
        let is_ancestor = ommer.hash == header.hash || ancestors.iter().any(|other| other.header.hash == ommer.hash);
        expect(!is_ancestor, "ommer_is_ancestor", || format!("ommer {} is an ancestor", ommer.hash))?;
        // A sibling's parent is an ancestor as well, but a block that is as new cannot be known.
        let parent = ancestors
            .iter()
            .skip(1)
            .find(|ancestor| ancestor.header.hash == ommer.inner.parent_hash)
            .ok_or_else(|| {
                BlockInvalid::new(None, "ommer_parent_unknown", format!("no near ancestor is parent of {}", ommer.hash))
            })?;
        check_header(spec, ommer, &parent.header, None).map_err(|invalid| {
            BlockInvalid::new(None, "invalid_ommer", format!("ommer {}: {}", ommer.hash, invalid.message))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_consensus::constants::{EMPTY_ROOT_HASH, EMPTY_WITHDRAWALS};
    use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;

    use super::*;

    type Inner = alloy_consensus::Header;

    /// A parent and a child that follows every rule.
    fn pair(network: &str) -> (Spec, Header, Inner) {
        let spec = Spec::of_network(network, 1, None).expect("a network");
        let mut parent = Inner { number: 7, timestamp: 1_000, gas_limit: 30_000_000, ..Inner::default() };
        let fork = spec.fork(7, 1_000);
        parent.difficulty = if fork >= Fork::Paris { U256::ZERO } else { U256::from(1_000_000) };
        parent.base_fee_per_gas = (fork >= Fork::London).then_some(1_000_000_000);
        parent.withdrawals_root = (fork >= Fork::Shanghai).then_some(EMPTY_WITHDRAWALS);
        parent.blob_gas_used = (fork >= Fork::Cancun).then_some(0);
        parent.excess_blob_gas = (fork >= Fork::Cancun).then_some(0);
        parent.parent_beacon_block_root = (fork >= Fork::Cancun).then_some(B256::ZERO);
        parent.requests_hash = (fork >= Fork::Prague).then_some(EMPTY_REQUESTS_HASH);
        let mut child = Inner { number: 8, timestamp: 1_012, transactions_root: EMPTY_ROOT_HASH, ..parent.clone() };
        let parent = Header::new(parent);
        child.parent_hash = parent.hash;
        if fork < Fork::Paris {
            child.difficulty = spec.next_difficulty(&PowParent::from(&parent.inner), child.timestamp);
        }
        if fork >= Fork::London {
            child.base_fee_per_gas = spec.next_base_fee(&parent).ok();
        }
        (spec, parent, child)
    }

    fn code(network: &str, change: impl FnOnce(&mut Inner)) -> &'static str {
        let (spec, parent, mut child) = pair(network);
        change(&mut child);
        check_header(&spec, &Header::new(child), &parent, None).map_or_else(|invalid| invalid.code, |()| "taken")
    }

    #[test]
    fn a_child_by_the_rules_is_taken_on_every_fork() {
        for fork in crate::spec::FORKS {
            assert_eq!(code(fork.name(), |_| ()), "taken", "{}", fork.name());
        }
    }

    #[test]
    fn every_broken_rule_is_named() {
        assert_eq!(code("Osaka", |child| child.parent_hash = B256::ZERO), "unknown_parent");
        assert_eq!(code("Osaka", |child| child.number = 9), "invalid_number");
        assert_eq!(code("Osaka", |child| child.timestamp = 1_000), "invalid_timestamp");
        assert_eq!(code("Osaka", |child| child.extra_data = vec![0; 33].into()), "extra_data_too_long");
        assert_eq!(code("Osaka", |child| child.gas_used = 30_000_001), "invalid_gas_used");
        assert_eq!(code("Osaka", |child| child.gas_limit += 30_000_000 / 1_024), "invalid_gas_limit");
        assert_eq!(code("Osaka", |child| child.gas_limit -= 30_000_000 / 1_024 - 1), "taken");
        assert_eq!(code("Osaka", |child| child.base_fee_per_gas = Some(1)), "invalid_base_fee");
        assert_eq!(code("Berlin", |child| child.base_fee_per_gas = Some(1)), "invalid_base_fee");
        assert_eq!(code("Osaka", |child| child.difficulty = U256::from(1)), "invalid_difficulty");
        assert_eq!(code("Homestead", |child| child.difficulty += U256::from(1)), "invalid_difficulty");
        assert_eq!(code("London", |child| child.difficulty = U256::ZERO), "invalid_difficulty");
        assert_eq!(code("Osaka", |child| child.nonce = B64::with_last_byte(1)), "invalid_nonce");
        assert_eq!(code("Osaka", |child| child.ommers_hash = B256::ZERO), "invalid_ommers_hash");
        assert_eq!(code("Paris", |child| child.withdrawals_root = Some(B256::ZERO)), "invalid_withdrawals_root");
        assert_eq!(code("Shanghai", |child| child.withdrawals_root = None), "invalid_withdrawals_root");
        assert_eq!(code("Osaka", |child| child.blob_gas_used = Some(1)), "invalid_blob_gas_used");
        assert_eq!(code("Osaka", |child| child.blob_gas_used = Some(10 * GAS_PER_BLOB)), "invalid_blob_gas_used");
        assert_eq!(code("Osaka", |child| child.excess_blob_gas = Some(GAS_PER_BLOB)), "invalid_excess_blob_gas");
        assert_eq!(code("Cancun", |child| child.requests_hash = Some(B256::ZERO)), "invalid_requests_hash");
        let without_root = code("Cancun", |child| child.parent_beacon_block_root = None);
        assert_eq!(without_root, "invalid_parent_beacon_block_root");
    }

    #[test]
    fn the_terminal_total_difficulty_ends_proof_of_work() {
        let (spec, parent, child) = pair("ArrowGlacierToParisAtDiffC0000");
        let at = |total: u64, child: &Inner| {
            check_header(&spec, &Header::new(child.clone()), &parent, Some(U256::from(total))).is_ok()
        };
        let without_work = Inner { difficulty: U256::ZERO, ..child.clone() };
        assert!(at(0xb_ffff, &child) && !at(0xc_0000, &child));
        assert!(!at(0xb_ffff, &without_work) && at(0xc_0000, &without_work));
    }

    #[test]
    fn a_block_above_the_size_limit_is_refused_from_osaka_on() {
        let (spec, _, child) = pair("Osaka");
        let attached = Attached { withdrawals: Some(Vec::new()), ..Attached::default() };
        let header = Header::new(child);
        assert!(check_attached(&spec, &header, &attached, BLOCK_BYTES_MAX).is_ok());
        let refused = check_attached(&spec, &header, &attached, BLOCK_BYTES_MAX + 1).expect_err("too large");
        assert_eq!(refused.code, "block_too_large");
    }

    #[test]
    fn an_ommer_must_be_a_child_of_a_near_ancestor_and_new() {
        let (spec, parent, child) = pair("Byzantium");
        let child = Header::new(child);
        let grandchild = Header::new(Inner { number: 9, parent_hash: child.hash, ..child.inner.clone() });
        let ommer = Header::new(Inner { extra_data: vec![1].into(), ..child.inner.clone() });
        let ancestors = [&child, &parent].map(|header| Ancestor { header: header.clone(), ommers: Vec::new() });
        let check = |ommers: &[Header], ancestors: &[Ancestor]| {
            check_ommers(&spec, &grandchild, ommers, ancestors).map_or_else(|invalid| invalid.code, |()| "taken")
        };
        assert_eq!(check(std::slice::from_ref(&ommer), &ancestors), "taken");
        assert_eq!(check(&[ommer.clone(), ommer.clone()], &ancestors), "duplicate_ommer");
        assert_eq!(check(&[ommer.clone(), ommer.clone(), ommer.clone()], &ancestors), "too_many_ommers");
        assert_eq!(check(std::slice::from_ref(&child), &ancestors), "ommer_is_ancestor");
        assert_eq!(check(std::slice::from_ref(&ommer), &ancestors[..1]), "ommer_parent_unknown");
        let late = Header::new(Inner { timestamp: 1_000, ..ommer.inner.clone() });
        assert_eq!(check(&[late], &ancestors), "invalid_ommer");
        let mut named = ancestors.to_vec();
        named[0].ommers.push(ommer.hash);
        assert_eq!(check(&[ommer], &named), "duplicate_ommer");
    }
}
