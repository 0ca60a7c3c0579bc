//! A small world for tests of the chain's own rules: accounts in memory, one transaction, its result.

use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256, keccak256};
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;
use revm::primitives::TxKind;
use revm::state::EvmState;

use super::{Outcome, Purpose, Tx, build, run_exact};
use crate::exec::need::Record;
use crate::exec::state::{JobState, bytecode};
use crate::header::BlockEnv;
use crate::spec::Spec;

pub const SENDER: Address = Address::repeat_byte(0xaa);

/// All forks up to Osaka from block 0 on.
const FORKS: &str = r#""homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,
"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0"#;

/// A chain spec with that `config.hansa` (JSON).
pub fn spec_of(hansa: &str) -> crate::error::InputResult<Spec> {
    Spec::parse(format!(r#"{{"config":{{"chainId":1,{FORKS},"hansa":{hansa}}},"gasLimit":"0x1c9c380"}}"#).as_bytes())
}

pub fn env() -> BlockEnv {
    let header = alloy_consensus::Header {
        number: 1,
        timestamp: 1,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(0),
        ..alloy_consensus::Header::default()
    };
    BlockEnv::of(&header)
}

/// Accounts in memory; whatever is not there is known to be absent.
pub struct World {
    pub spec: Spec,
    pub state: JobState,
}

impl World {
    pub fn new(hansa: &str) -> Self {
        let spec = spec_of(hansa).expect("a good spec");
        let mut state = JobState::new(spec.spec_id(1, 1), None, usize::MAX);
        put(&mut state, SENDER, 1 << 60, None);
        put(&mut state, Address::ZERO, 0, None);
        Self { spec, state }
    }

    /// An account with code and no storage.
    #[must_use]
    pub fn with(mut self, address: Address, balance: u64, code: &[u8]) -> Self {
        put(&mut self.state, address, balance, Some(code));
        self
    }

    /// Addresses at which there is nothing.
    #[must_use]
    pub fn absent(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        for address in addresses {
            self.state.put_record(address, None);
        }
        self
    }

    /// Run a transaction of [`SENDER`] and fold its changes in.
    pub fn run(&mut self, tx: impl Into<Tx>) -> (ExecutionResult, EvmState) {
        let mut evm = build(&self.spec, &env(), &mut self.state, Purpose::Block, None);
        match run_exact(&mut evm, tx) {
            Outcome::Done(result, changes) => {
                drop(evm);
                self.state.commit(changes.clone());
                (result, changes)
            }
            other => panic!("{other:?}"),
        }
    }
}

pub fn put(state: &mut JobState, address: Address, balance: u64, code: Option<&[u8]>) {
    let code = code.filter(|code| !code.is_empty());
    let code_hash = code.map_or(KECCAK256_EMPTY, keccak256);
    let record = Record {
        nonce: 0,
        balance: U256::from(balance),
        storage_root: alloy_consensus::constants::EMPTY_ROOT_HASH,
        code_hash,
    };
    state.put_record(address, Some(&record));
    if let Some(code) = code {
        state.put_code(code_hash, bytecode(Bytes::copy_from_slice(code)));
    }
}

/// A call of `to` with `data`.
pub fn call(to: Address, gas_limit: u64, data: impl Into<Bytes>) -> TxEnv {
    TxEnv {
        caller: SENDER,
        kind: TxKind::Call(to),
        gas_limit,
        data: data.into(),
        chain_id: Some(1),
        ..TxEnv::default()
    }
}
