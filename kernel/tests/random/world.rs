//! Who and what is there before the block.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use hansa_kernel::conformance::full_state::FullState;
use hansa_kernel::evm::opcodes::PRIVILEGED;
use hansa_kernel::spec::{Alloc, Fork, Spec};
use hansa_kernel::tx::schemes::{self, AccountScheme};
use hansa_kernel::tx::sign::{scheme_address, scheme_public_key};
use secp256k1::{PublicKey, SECP256K1, SecretKey};

pub const ACTORS: u8 = 6;

/// (what it does, code). Calldata words choose addresses and slots.
pub const CONTRACTS: [(&str, &str); 12] = [
    (
        "token: moves one unit from the caller to word 0, or reverts",
        "33548015601e57 600190033355 5f35805460010190555f3560015f5fa200 5b5f5ffd",
    ),
    ("creates a contract from word 0, stores its address", "5f355f52 60205f5ff0 5f5500"),
    ("destroys itself in favour of word 0", "5f35ff"),
    (
        "calls word 0 with word 1 wei and word 2 as data, stores whether it went well",
        "6040355f525f5f60205f6020355f355af15f5500",
    ),
    ("stores the hash of block number - word 0", "5f354303405f5500"),
    ("follows a chain of three slots from slot word 0, stores the end", "5f35 545454 60075500"),
    ("stores the code hash and size of word 0", "5f353f5f555f353b60015500"),
    ("stores the beneficiary's balance", "41315f5500"),
    ("writes slot word 0, then reverts", "60015f35555f5ffd"),
    ("clears slot word 0", "5f5f355500"),
    (
        "creates by CREATE2 and the last bits of word 1 what destroys itself in favour of its caller, and calls it",
        "6a6133ff6000526002601ef3 5f52 602035600316 600b60155ff5 5f5f5f5f5f855af1 5f5500",
    ),
    ("borrows the code of word 0 with all its data", "365f5f37 5f5f365f5f355af45f5500"),
];

/// What the contract with privileges does by the last bits of word 2: 1 moves word 1 wei from word 0 to word 2, 2 gives
/// word 0 the code of word 2, else slot word 1 of word 0 becomes word 2.
const PRIVILEGED_CODE: &str = "604035600316 80600114601d57 600214602a57 604035602035 5f35ed00 \
     5b6020356040355f35ee5f5500 5b6040353b805f5f6040353c5f5f35ef00";

/// Asked for requests after the block: slot 0 as 76 bytes if it is not zero, which it clears. Else slot 0 becomes word 0.
const REQUESTS_CODE: &str =
    "3373fffffffffffffffffffffffffffffffffffffffe14602057 5f355f5500 00 5b 5f545f52 5f54 5f5f55 1515604c025ff3";
/// Logs a deposit in the form of EIP-6110, with word 0 in its public key.
const DEPOSITS_CODE: &str = "60a05f52 610100602052 610140604052 610180606052 610200608052 \
     603060a052 5f3560c052 602061010052 600861014052 606061018052 600861020052 \
     7f649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5 6102405fa100";
pub const DEPOSITS: Address = address!("00000000219ab540356cbb839cbe05303d7705fa");
const BEACON_ROOTS: Address = address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");
const HISTORY: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");
const WITHDRAWALS: Address = address!("00000961ef480eb55e80d19ad83579a64c007002");
const CONSOLIDATIONS: Address = address!("0000bbddc7ce488642fb579f8b00f3a590007251");

/// The rules of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Ethereum's.
    Fork(Fork),
    /// Osaka with account signatures, address ranges and privileged opcodes.
    Hansa,
    /// The same; nearly all transactions promise narrow ranges.
    Lanes,
    /// Osaka with dear reads and growth, and with caps that random blocks often reach.
    Priced,
}

/// A chain of every fork with that `config.hansa.vm` (JSON).
pub fn chain_of(vm: &str) -> Spec {
    let forks = r#""homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
        "constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0,
        "terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0"#;
    let text = format!(r#"{{"config":{{"chainId":1,{forks},"hansa":{{"vm":{vm}}}}},"gasLimit":"0x3938700"}}"#);
    Spec::parse(text.as_bytes()).expect("a good spec")
}

static HANSA: LazyLock<Spec> = LazyLock::new(|| {
    let schemes: Vec<_> = signing_schemes().map(|scheme| serde_json::json!({"name": scheme.name()})).collect();
    let vm = serde_json::json!({"addressRanges": true, "privilegedOpcodes": true, "signatureSchemes": schemes});
    chain_of(&vm.to_string())
});

static PRICED: LazyLock<Spec> = LazyLock::new(|| {
    let gas = r#"{"stateReadPercent":150,"stateGrowthPercent":130}"#;
    chain_of(&format!(r#"{{"gas":{gas},"stateGrowth":{{"blockItemsMax":14,"senderItemsMax":5}}}}"#))
});

impl From<Fork> for Rules {
    fn from(fork: Fork) -> Self {
        Self::Fork(fork)
    }
}

impl Rules {
    pub fn spec(self) -> Spec {
        match self {
            Self::Fork(fork) => Spec::of_fork(fork, 1),
            Self::Hansa | Self::Lanes => HANSA.clone(),
            Self::Priced => PRICED.clone(),
        }
    }

    pub fn fork(self) -> Fork {
        match self {
            Self::Fork(fork) => fork,
            Self::Hansa | Self::Lanes | Self::Priced => Fork::Osaka,
        }
    }
}

/// Schemes of accounts that sign in random blocks: all but the one that takes seconds to.
pub fn signing_schemes() -> impl Iterator<Item = &'static dyn AccountScheme> {
    schemes::all().iter().copied().filter(|scheme| !scheme.name().starts_with("slh-dsa"))
}

/// The account of an actor's secret in that scheme.
pub fn scheme_actor(scheme: &str, number: u8) -> Address {
    let key = scheme_public_key(scheme, &secret(number).secret_bytes()).expect("a secret of every scheme");
    scheme_address(scheme, &key).expect("its key")
}

pub fn contract(index: u8) -> Address {
    Address::repeat_byte(0xc0 + index)
}

pub fn secret(actor: u8) -> SecretKey {
    SecretKey::from_byte_array([actor + 1; 32]).expect("in range")
}

pub fn actor(actor: u8) -> Address {
    let key = PublicKey::from_secret_key(SECP256K1, &secret(actor)).serialize_uncompressed();
    Address::from_slice(&keccak256(&key[1..])[12..])
}

pub fn word(address: Address) -> [u8; 32] {
    address.into_word().0
}

/// An account by a small number: actors, contracts, one that does not exist, the beneficiary, those the protocol knows.
pub fn someone(number: u8) -> Address {
    match number % 28 {
        n @ 0..6 => actor(n),
        n @ 6..18 => contract(n - 6),
        18 => Address::repeat_byte(0xee),
        19 => beneficiary(),
        20 => Address::with_last_byte(2),
        21 => actor(0).create(0),
        22 => WITHDRAWALS,
        23 => CONSOLIDATIONS,
        24 => DEPOSITS,
        25 => PRIVILEGED,
        26 => Address::with_last_byte(4),
        _ => contract(10).create2_from_code(B256::with_last_byte(1), hex!("6133ff6000526002601ef3")),
    }
}

pub fn beneficiary() -> Address {
    actor(5)
}

/// Code for the fork: PUSH0, which Shanghai brought, is CALLVALUE before, mostly zero and as long.
pub fn code(text: &str, fork: Fork) -> Vec<u8> {
    let mut code = hex::decode(text.replace(' ', "")).expect("hex");
    let mut at = 0;
    while at < code.len() {
        match code[at] {
            0x5f if fork < Fork::Shanghai => code[at] = 0x34,
            push @ 0x60..=0x7f => at += usize::from(push - 0x5f),
            _ => {}
        }
        at += 1;
    }
    code
}

/// The state before a block by the newest rules.
pub fn world() -> FullState {
    world_of(Rules::Fork(Fork::Osaka))
}

/// The state before a block by those rules.
pub fn world_of(rules: Rules) -> FullState {
    let mut accounts = BTreeMap::new();
    let rich = |balance| Alloc { balance, ..Alloc::default() };
    let fork = rules.fork();
    for number in 0..ACTORS {
        let balance = if number == 4 { U256::from(30_000) } else { U256::from(10).pow(U256::from(20)) };
        accounts.insert(actor(number), rich(balance));
        for scheme in signing_schemes().filter(|_| rules == Rules::Hansa) {
            accounts.insert(scheme_actor(scheme.name(), number), rich(balance));
        }
    }
    let with_code = |text: &str| Alloc { nonce: 1, code: Bytes::from(code(text, fork)), ..Alloc::default() };
    for (index, (_, text)) in (0u8..).zip(CONTRACTS) {
        let mut account = Alloc { balance: U256::from(u64::from(index) * 1_000), ..with_code(text) };
        for number in 0..ACTORS {
            account.storage.insert(U256::from_be_bytes(word(actor(number))), U256::from(2));
        }
        for slot in 1..8u64 {
            account.storage.insert(U256::from(slot), U256::from(slot + 1));
        }
        accounts.insert(contract(index), account);
    }
    for address in [BEACON_ROOTS, HISTORY] {
        accounts.insert(address, with_code("5f35435500"));
    }
    for address in [WITHDRAWALS, CONSOLIDATIONS] {
        accounts.insert(address, with_code(REQUESTS_CODE));
    }
    accounts.insert(DEPOSITS, with_code(DEPOSITS_CODE));
    if rules == Rules::Hansa {
        accounts.insert(PRIVILEGED, with_code(PRIVILEGED_CODE));
    }
    FullState(accounts)
}
