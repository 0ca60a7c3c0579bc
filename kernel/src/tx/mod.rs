//! Transactions before execution: decode, sender recovery, the checks that need no state, signing.
//!
//! A batch is decoded once per member and then shared: the pool, block building and execution hold the same
//! [`Decoded`] behind an `Arc`. Checks that need an account (nonce, balance) are the pool's and the executor's.

mod batch;
mod decode;
mod envelope;
mod error;
mod ranges;
mod rules;
pub mod schemes;
pub mod sign;
#[cfg(test)]
mod tests;

pub use batch::{Decoded, Entry, Refused, TxBatch};
pub use decode::{BATCH_COUNT_MAX, attach_senders, decode_one, decode_transactions, recover_signer};
pub use envelope::{ACCOUNT_TX_TYPE, AccountTx, Envelope, SignedAccountTx};
pub use error::{TxCode, TxError};
pub use ranges::{AddressRange, AddressRanges, RANGES_MAX};
pub use rules::{ACCESS_LIST_ENTRIES_MAX, AUTHORIZATIONS_MAX, RAW_BYTES_MAX, TxRules};
pub(crate) use sign::sign_hash;
pub use sign::{SIGN_COUNT_MAX, SignRequest, address_of_public_key, address_of_secret_keys, sign_transactions};
