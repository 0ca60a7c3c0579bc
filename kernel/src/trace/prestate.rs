//! geth's `prestateTracer`: the accounts and slots that a transaction looks at, before it and, as a difference, after.
//!
//! What is looked at follows geth's opcode hooks rather than what revm loads: the two differ for access lists and
//! precompiles.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::bytecode::opcode;
use revm::context::TxEnv;
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{InputsTr, Jumps, MemoryTr};
use revm::interpreter::{InstructionResult, Interpreter};
use revm::primitives::TxKind;
use revm::state::EvmState;

use super::calls::decimal;
use super::config::PrestateOptions;
use crate::evm::{self, EvmContext};
use crate::exec::state::JobState;
use crate::views::{Object, data};

/// Gas bounds what a creation can pass on far below this.
const INITCODE_MAX: usize = 1 << 24;

/// What was looked at.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    accounts: BTreeMap<Address, BTreeSet<U256>>,
    /// Contracts that met SELFDESTRUCT.
    deleted: BTreeSet<Address>,
    /// What the step now running looks at, unless it has no gas for it.
    pending: Vec<(Address, Option<U256>)>,
    pending_deleted: Option<Address>,
}

impl Touched {
    /// Accounts that the transaction names.
    pub fn begin(&mut self, tx: &TxEnv, beneficiary: Address, delegate: Option<Address>) {
        let mut named = vec![tx.caller, evm::target(tx), beneficiary];
        named.extend(delegate);
        named.extend(evm::authorities(tx).map(|(authority, _)| authority));
        for address in named {
            self.accounts.entry(address).or_default();
        }
    }

    pub(super) fn step(&mut self, interp: &Interpreter<EthInterpreter>, context: &EvmContext<'_>) {
        let opcode = interp.bytecode.opcode();
        let caller = interp.input.target_address();
        let stack = interp.stack.data();
        let address = |word: &U256| Address::from_word(B256::from(*word));
        match (opcode, stack.as_slice()) {
            (opcode::SLOAD | opcode::SSTORE, [.., slot]) => self.pending.push((caller, Some(*slot))),
            (
                opcode::EXTCODECOPY
                | opcode::EXTCODEHASH
                | opcode::EXTCODESIZE
                | opcode::BALANCE
                | opcode::SELFDESTRUCT,
                [.., word],
            ) => {
                self.pending.push((address(word), None));
                self.pending_deleted = (opcode == opcode::SELFDESTRUCT).then_some(caller);
            }
            (opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL, [.., _, _, _, word, _]) => {
                self.pending.push((address(word), None));
            }
            (opcode::CREATE, _) => {
                let nonce = context.journaled_state.state.get(&caller).map_or(0, |account| account.info.nonce);
                self.pending.push((caller.create(nonce), None));
            }
            (opcode::CREATE2, [.., salt, size, offset, _]) => {
                let range = usize::try_from(*offset).ok().zip(usize::try_from(*size).ok());
                let code = range.and_then(|(offset, size)| memory(interp, offset, size));
                if let Some(code) = code {
                    self.pending.push((caller.create2_from_code(salt.to_be_bytes::<32>(), &code), None));
                }
            }
            _ => {}
        }
    }

    pub(super) fn step_end(&mut self, result: Option<InstructionResult>) {
        use InstructionResult as R;
        let deleted = self.pending_deleted.take();
        let pending = std::mem::take(&mut self.pending);
        if matches!(
            result,
            Some(R::OutOfGas | R::MemoryOOG | R::InvalidOperandOOG | R::ReentrancySentryOOG | R::StackUnderflow)
        ) {
            return;
        }
        self.deleted.extend(deleted);
        for (address, slot) in pending {
            self.accounts.entry(address).or_default().extend(slot);
        }
    }

    /// The accounts as JSON, or `None` when the state lacks a value (it is then wanted). Call it before the transaction
    /// is folded into `state`; `after` is what it changed.
    pub fn render(
        &self,
        options: PrestateOptions,
        state: &mut JobState,
        after: &EvmState,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let mut before: BTreeMap<Address, Account> = BTreeMap::new();
        let mut complete = true;
        // Delegates (EIP-7702) of what is looked at are looked at, too.
        let mut wanted: Vec<(Address, &BTreeSet<U256>)> = self.accounts.iter().map(|(a, s)| (*a, s)).collect();
        let none = BTreeSet::new();
        while let Some((address, slots)) = wanted.pop() {
            let Some(account) = Account::before(state, address, slots) else {
                complete = false;
                continue;
            };
            if let Some(delegate) = account.delegate()
                && !self.accounts.contains_key(&delegate)
                && !before.contains_key(&delegate)
            {
                wanted.push((delegate, &none));
            }
            before.insert(address, account);
        }
        if !complete {
            return None;
        }
        let shown = |account: &Account| options.include_empty || !account.is_empty();
        if options.diff_mode {
            self.render_diff(options, before, state, after, out)?;
        } else {
            accounts(out, before.iter().filter(|(_, account)| shown(account)), options);
        }
        Some(())
    }

    fn render_diff(
        &self,
        options: PrestateOptions,
        mut before: BTreeMap<Address, Account>,
        state: &mut JobState,
        after: &EvmState,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let mut changes: BTreeMap<Address, Account> = BTreeMap::new();
        let mut complete = true;
        before.retain(|address, pre| {
            if self.deleted.contains(address) {
                return true;
            }
            let Some(post) = Account::after(state, *address, pre, after) else {
                complete = false;
                return true;
            };
            let mut change = Account::default();
            let mut modified = false;
            if post.balance != pre.balance {
                change.balance = post.balance;
                modified = true;
            }
            if post.nonce != pre.nonce {
                change.nonce = post.nonce;
                modified = true;
            }
            if post.code_hash != pre.code_hash {
                change.code_hash = Some(post.code_hash.unwrap_or_default());
                change.code.clone_from(&post.code);
                modified = true;
            }
            if !options.disable_storage {
                pre.slots.retain(|slot, value| {
                    let now = post.slots.get(slot).copied().unwrap_or_default();
                    if now == *value {
                        return false;
                    }
                    modified = true;
                    if !now.is_zero() {
                        change.slots.insert(*slot, now);
                    }
                    !value.is_zero()
                });
            }
            if modified {
                changes.insert(*address, change);
            }
            modified
        });
        if !complete {
            return None;
        }
        Object::write(out, |object| {
            object.value("post", |out| accounts(out, changes.iter(), options));
            object.value("pre", |out| {
                accounts(out, before.iter().filter(|(_, account)| !account.is_empty()), options);
            });
        });
        Some(())
    }
}

fn memory(interp: &Interpreter<EthInterpreter>, offset: usize, size: usize) -> Option<Vec<u8>> {
    if size > INITCODE_MAX {
        return None;
    }
    let have = interp.memory.size();
    let mut code = vec![0; size];
    let end = offset.checked_add(size)?.min(have);
    if offset < end {
        code[..end - offset].copy_from_slice(&interp.memory.slice(offset..end));
    }
    Some(code)
}

/// An account as the tracer shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Account {
    /// Wei; `None` in a difference that does not touch it.
    balance: Option<U256>,
    nonce: u64,
    /// `None` for an account without code.
    code_hash: Option<B256>,
    code: Bytes,
    slots: BTreeMap<U256, U256>,
}

impl Account {
    fn before(state: &mut JobState, address: Address, slots: &BTreeSet<U256>) -> Option<Self> {
        let mut known = state.prefetch_account(address);
        let mut account = Self { balance: Some(U256::ZERO), ..Self::default() };
        if known {
            if let Some((nonce, balance)) = state.account_now(address) {
                account.nonce = nonce;
                account.balance = Some(balance);
            }
            let hash = state.code_hash_now(address);
            account.code_hash = hash.filter(|hash| *hash != KECCAK256_EMPTY && !hash.is_zero());
            if let Some(hash) = account.code_hash {
                match state.code_now(hash) {
                    Some(code) => account.code = code,
                    None => known = state.prefetch_code(hash),
                }
            }
        }
        for slot in slots {
            match state.slot_now(address, *slot) {
                Some(value) => drop(account.slots.insert(*slot, value)),
                None => known = state.prefetch_slot(address, *slot) && known,
            }
        }
        known.then_some(account)
    }

    fn after(state: &mut JobState, address: Address, pre: &Self, after: &EvmState) -> Option<Self> {
        let Some(changed) = after.get(&address) else { return Some(pre.clone()) };
        let mut account = Self {
            balance: Some(changed.info.balance),
            nonce: changed.info.nonce,
            code_hash: Some(changed.info.code_hash).filter(|hash| *hash != KECCAK256_EMPTY && !hash.is_zero()),
            code: Bytes::new(),
            slots: pre.slots.clone(),
        };
        if account.code_hash == pre.code_hash {
            account.code = pre.code.clone();
        } else if let Some(hash) = account.code_hash {
            match &changed.info.code {
                Some(code) => account.code = code.original_bytes(),
                None => account.code = state.code_now(hash)?,
            }
        }
        for (slot, value) in &changed.storage {
            if let Some(known) = account.slots.get_mut(slot) {
                *known = value.present_value;
            }
        }
        Some(account)
    }

    fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_none_or(|balance| balance.is_zero()) && self.code_hash.is_none()
    }

    fn delegate(&self) -> Option<Address> {
        match self.code.as_ref() {
            [0xef, 0x01, 0x00, address @ ..] => (address.len() == 20).then(|| Address::from_slice(address)),
            _ => None,
        }
    }

    fn write(&self, object: &mut Object<'_>, options: PrestateOptions) {
        if !(options.disable_code || self.code.is_empty()) {
            object.data("code", &self.code);
        }
        object.data_if("codeHash", self.code_hash);
        if self.nonce != 0 {
            object.value("nonce", |out| decimal(out, self.nonce));
        }
        if !(options.disable_storage || self.slots.is_empty()) {
            object.value("storage", |out| slots(out, &self.slots));
        }
    }
}

fn accounts<'m>(out: &mut Vec<u8>, items: impl Iterator<Item = (&'m Address, &'m Account)>, options: PrestateOptions) {
    map(out, items, |out, account| {
        Object::write(out, |object| {
            object.quantity_if("balance", account.balance);
            account.write(object, options);
        });
    });
}

fn map<'m, T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = (&'m Address, T)>,
    mut value: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'{');
    for (index, (address, item)) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        data(out, address.as_slice());
        out.push(b':');
        value(out, item);
    }
    out.push(b'}');
}

fn slots(out: &mut Vec<u8>, slots: &BTreeMap<U256, U256>) {
    out.push(b'{');
    for (index, (slot, value)) in slots.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        data(out, &slot.to_be_bytes::<32>());
        out.push(b':');
        data(out, &value.to_be_bytes::<32>());
    }
    out.push(b'}');
}

/// The address that a transaction's recipient delegates to, if its record and code are known.
pub fn delegate_of(state: &mut JobState, tx: &TxEnv) -> Option<Address> {
    let TxKind::Call(to) = tx.kind else { return None };
    let account = Account::before(state, to, &BTreeSet::new())?;
    account.delegate()
}
