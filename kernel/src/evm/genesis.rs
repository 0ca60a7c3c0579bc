//! Running the constructors of a first block.

use std::collections::BTreeMap;

use alloy_consensus::constants::EMPTY_ROOT_HASH;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::primitives::TxKind;

use super::{Outcome, Purpose, build, run_exact};
use crate::error::{InputError, InputResult};
use crate::exec::need::Record;
use crate::exec::state::{JobState, bytecode};
use crate::header::BlockEnv;
use crate::spec::{Alloc, Fork, Spec};

/// Gas of a constructor: no limit is given for it; no public one needs near as much.
const CONSTRUCTOR_GAS: u64 = 1 << 40;

/// Run `constructor` as the code of `address` in the state `alloc`, called by the zero address, and leave there what it
/// returns.
///
/// # Errors
/// Names `accounts` when it fails.
pub fn construct(
    spec: &Spec,
    env: &BlockEnv,
    alloc: &mut BTreeMap<Address, Alloc>,
    address: Address,
    constructor: &Bytes,
) -> InputResult<()> {
    let failed = |why: &str| InputError::new(format!("accounts.{address}.constructor"), "code that succeeds", why);
    let fork = env.fork(spec);
    let account = alloc.entry(address).or_default();
    // A new contract's nonce is 1 since EIP-161.
    account.nonce = u64::from(fork >= Fork::SpuriousDragon);
    let mut state = JobState::new(fork.spec_id(), None, usize::MAX);
    for (other, account) in &*alloc {
        let code = if *other == address { constructor.clone() } else { account.code.clone() };
        put(&mut state, *other, account, code);
    }
    let tx = TxEnv {
        kind: TxKind::Call(address),
        gas_limit: CONSTRUCTOR_GAS,
        chain_id: Some(spec.chain_id()),
        ..TxEnv::default()
    };
    let (output, changes) = loop {
        let mut evm = build(spec, env, &mut state, Purpose::Call, None);
        match run_exact(&mut evm, tx.clone()) {
            Outcome::Done(ExecutionResult::Success { output, .. }, changes) => break (output.into_data(), changes),
            Outcome::Done(..) => return Err(failed("code that fails")),
            Outcome::Invalid(error) => return Err(failed(&error.to_string())),
            Outcome::Fault(error) => return Err(error),
            Outcome::Cancelled => return Err(failed("a cancelled run")),
            Outcome::Missed => {
                drop(evm);
                let asked = state.take_wanted();
                for address in asked.accounts {
                    state.put_record(address, None);
                }
                for (address, slot) in asked.slots {
                    state.put_slot(address, slot, U256::ZERO);
                }
                for number in asked.blocks {
                    state.put_block(number, B256::ZERO);
                }
            }
        }
    };
    state.commit(changes);
    for write in state.write_set().accounts {
        // The caller's nonce counts a transaction that there was not.
        if write.address.is_zero() || write.deleted {
            continue;
        }
        let account = alloc.entry(write.address).or_default();
        account.balance = write.balance;
        account.nonce = write.nonce;
        if let Some(code) = write.code.filter(|_| write.address != address) {
            account.code = code;
        }
        for (slot, value) in write.slots {
            if value.is_zero() {
                account.storage.remove(&slot);
            } else {
                account.storage.insert(slot, value);
            }
        }
    }
    alloc.entry(address).or_default().code = output;
    Ok(())
}

fn put(state: &mut JobState, address: Address, account: &Alloc, code: Bytes) {
    let code = bytecode(code);
    let code_hash = if code.is_empty() { KECCAK256_EMPTY } else { code.hash_slow() };
    let storage_root = if account.storage.is_empty() { EMPTY_ROOT_HASH } else { B256::ZERO };
    let record = Record { nonce: account.nonce, balance: account.balance, storage_root, code_hash };
    state.put_record(address, Some(&record));
    state.put_code(code_hash, code);
    for (slot, value) in &account.storage {
        state.put_slot(address, *slot, *value);
    }
}
