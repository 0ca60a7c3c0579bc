//! The answers of `trace_` methods: `trace`, `stateDiff` and `vmTrace` of one transaction.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::state::{Account, EvmState};

use super::calls::{Calls, string};
use super::config::ParityOptions;
use super::flat::{self, Place, Style};
use super::recorder::Recorder;
use crate::exec::state::JobState;
use crate::views::{Object, data};

/// What a transaction ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'o> {
    Returned(&'o [u8]),
    Reverted(&'o [u8]),
}

/// Everything asked for, as JSON; `None` when the state lacks a value (it is then wanted). Call it before the
/// transaction is folded into `state`.
pub fn render(
    options: ParityOptions,
    recorder: &mut Recorder,
    state: &mut JobState,
    after: &EvmState,
    place: Place,
    output: Output<'_>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let none = Calls::default();
    let calls = recorder.calls.as_ref().unwrap_or(&none);
    if options.localized {
        flat::render(calls, Style::Parity { localized: true }, place, out);
        return Some(());
    }
    let diff = if options.state_diff { Some(Difference::of(state, after)?) } else { None };
    let vm = recorder.vm.take();
    Object::write(out, |object| {
        match output {
            Output::Returned(bytes) => object.data("output", bytes),
            // Besu: of a call it is the output, of a transaction a member of its own.
            Output::Reverted(bytes) if place.transaction_hash.is_none() => object.data("output", bytes),
            Output::Reverted(bytes) => {
                object.data("output", []);
                object.data("revertReason", bytes);
            }
        }
        match diff {
            Some(diff) => object.value("stateDiff", |out| diff.write(out)),
            None => object.null("stateDiff"),
        }
        object.value("trace", |out| {
            if options.trace {
                flat::render(calls, Style::Parity { localized: false }, place, out);
            } else {
                out.extend_from_slice(b"[]");
            }
        });
        if let Some(hash) = place.transaction_hash {
            object.data("transactionHash", hash);
        }
        match vm {
            Some(vm) => object.value("vmTrace", |out| {
                let trace = vm.into_parity_builder().vm_trace();
                // Numbers, strings and lists always serialise.
                let _ = serde_json::to_writer(out, &trace);
            }),
            None => object.null("vmTrace"),
        }
    });
    Some(())
}

/// A value before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Delta<T> {
    Same,
    Added(T),
    Removed(T),
    Changed(T, T),
}

impl<T: PartialEq> Delta<T> {
    fn between(before: T, after: T) -> Self {
        if before == after { Self::Same } else { Self::Changed(before, after) }
    }

    fn write(&self, out: &mut Vec<u8>, value: impl Fn(&mut Object<'_>, &str, &T)) {
        match self {
            Self::Same => string(out, "="),
            Self::Added(after) => Object::write(out, |object| value(object, "+", after)),
            Self::Removed(before) => Object::write(out, |object| value(object, "-", before)),
            Self::Changed(before, after) => Object::write(out, |object| {
                object.value("*", |out| {
                    Object::write(out, |object| {
                        value(object, "from", before);
                        value(object, "to", after);
                    });
                });
            }),
        }
    }
}

#[derive(Debug)]
struct AccountDelta {
    balance: Delta<U256>,
    code: Delta<Bytes>,
    nonce: Delta<u64>,
    storage: BTreeMap<U256, Delta<U256>>,
}

/// What a transaction changed, by account.
#[derive(Debug, Default)]
struct Difference(BTreeMap<Address, AccountDelta>);

impl Difference {
    fn of(state: &mut JobState, after: &EvmState) -> Option<Self> {
        let mut accounts = BTreeMap::new();
        let mut complete = true;
        for (address, account) in after.iter().filter(|(_, account)| account.is_touched()) {
            match delta(state, *address, account) {
                Ok(None) => {}
                Ok(Some(delta)) => drop(accounts.insert(*address, delta)),
                Err(Missing) => complete = false,
            }
        }
        complete.then_some(Self(accounts))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (address, delta)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            data(out, address.as_slice());
            out.push(b':');
            Object::write(out, |object| {
                object.value("balance", |out| delta.balance.write(out, |o, name, value| o.quantity(name, *value)));
                object.value("code", |out| delta.code.write(out, |o, name, value| o.data(name, value)));
                object.value("nonce", |out| delta.nonce.write(out, |o, name, value| o.quantity(name, *value)));
                object.value("storage", |out| {
                    out.push(b'{');
                    for (index, (slot, value)) in delta.storage.iter().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        data(out, &slot.to_be_bytes::<32>());
                        out.push(b':');
                        value.write(out, |o, name, value| o.data(name, value.to_be_bytes::<32>()));
                    }
                    out.push(b'}');
                });
            });
        }
        out.push(b'}');
    }
}

struct Missing;

fn delta(state: &mut JobState, address: Address, account: &Account) -> Result<Option<AccountDelta>, Missing> {
    let before = state.account_now(address);
    let old_hash = state.code_hash_now(address).filter(|hash| *hash != KECCAK256_EMPTY && !hash.is_zero());
    let gone = account.is_selfdestructed() || (account.is_empty() && state.clears_empty());
    let Some((nonce, balance)) = before else {
        if gone {
            return Ok(None);
        }
        return Ok(Some(AccountDelta {
            balance: Delta::Added(account.info.balance),
            code: Delta::Added(new_code(state, account)?),
            nonce: Delta::Added(account.info.nonce),
            storage: changed(account).map(|(slot, _, now)| (slot, Delta::Added(now))).collect(),
        }));
    };
    if gone {
        return Ok(Some(AccountDelta {
            balance: Delta::Removed(balance),
            code: Delta::Removed(old_code(state, old_hash)?),
            nonce: Delta::Removed(nonce),
            storage: BTreeMap::new(),
        }));
    }
    let new_hash = Some(account.info.code_hash).filter(|hash| *hash != KECCAK256_EMPTY && !hash.is_zero());
    let code = if new_hash == old_hash {
        Delta::Same
    } else {
        Delta::Changed(old_code(state, old_hash)?, new_code(state, account)?)
    };
    let delta = AccountDelta {
        balance: Delta::between(balance, account.info.balance),
        code,
        nonce: Delta::between(nonce, account.info.nonce),
        storage: changed(account).map(|(slot, old, now)| (slot, Delta::Changed(old, now))).collect(),
    };
    let same = delta.balance == Delta::Same
        && delta.nonce == Delta::Same
        && delta.code == Delta::Same
        && delta.storage.is_empty();
    Ok((!same).then_some(delta))
}

fn changed(account: &Account) -> impl Iterator<Item = (U256, U256, U256)> {
    let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
    slots.map(|(slot, value)| (*slot, value.original_value, value.present_value))
}

fn old_code(state: &mut JobState, hash: Option<B256>) -> Result<Bytes, Missing> {
    let Some(hash) = hash else { return Ok(Bytes::new()) };
    if let Some(code) = state.code_now(hash) {
        return Ok(code);
    }
    state.prefetch_code(hash);
    Err(Missing)
}

fn new_code(state: &mut JobState, account: &Account) -> Result<Bytes, Missing> {
    match &account.info.code {
        Some(code) => Ok(code.original_bytes()),
        None => old_code(state, Some(account.info.code_hash).filter(|hash| *hash != KECCAK256_EMPTY)),
    }
}
