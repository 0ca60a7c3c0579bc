//! revm alone: the same transactions on its own in-memory database, committed one after the other.

use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::evm::{self, Purpose};
use hansa_kernel::header::BlockEnv;
use hansa_kernel::spec::Spec;
use revm::context::{Context, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{KECCAK_EMPTY, keccak256};
use revm::state::{AccountInfo, Bytecode};
use revm::{ExecuteCommitEvm, MainBuilder, MainContext};

type Database = CacheDB<EmptyDB>;

/// The state as revm's database holds it.
pub fn database(state: &FullState) -> Database {
    let mut database = CacheDB::new(EmptyDB::new());
    for (address, account) in &state.0 {
        let code_hash = if account.code.is_empty() { KECCAK_EMPTY } else { keccak256(&account.code) };
        let info = AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash,
            code: Some(Bytecode::new_raw(account.code.clone())),
            account_id: None,
        };
        database.insert_account_info(*address, info);
        for (slot, value) in &account.storage {
            database.insert_account_storage(*address, *slot, *value).expect("an account of the database");
        }
    }
    database
}

/// Gas of the transactions, of which every one succeeds, and the values, so that they are freed after the clock has stopped.
pub fn run(database: Database, spec: &Spec, env: &BlockEnv, txs: Vec<TxEnv>) -> (u64, Database) {
    let cfg = evm::cfg_of(spec, env, Purpose::Block);
    let block = evm::block_of(spec, env, &cfg);
    let mut evm = Context::mainnet().with_db(database).with_cfg(cfg).with_block(block).build_mainnet();
    let mut gas = 0;
    for tx in txs {
        let result = evm.transact_commit(tx).expect("a valid transaction");
        assert!(result.is_success());
        gas += result.tx_gas_used();
    }
    (gas, evm.ctx.journaled_state.database)
}

/// Half of the transactions on each of two threads that know nothing of each other: what two cores can give at best.
pub fn run_halves(
    databases: (Database, Database),
    spec: &Spec,
    env: &BlockEnv,
    mut txs: Vec<TxEnv>,
) -> (u64, [Database; 2]) {
    let late = txs.split_off(txs.len() / 2);
    let (one, other) = rayon::join(|| run(databases.0, spec, env, txs), || run(databases.1, spec, env, late));
    (one.0 + other.0, [one.1, other.1])
}
