// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

contract Leaf {
    uint256 public value;

    constructor(uint256 value_) payable {
        value = value_;
    }

    function drop(address payable heir) external {
        selfdestruct(heir);
    }
}

/// Touches what state transitions can touch: storage set and cleared, logs, creations, calls, reverts, precompiles.
contract Scratch {
    mapping(uint256 => uint256) public slots;
    address[] public leaves;

    event Stored(uint256 indexed slot, uint256 value);

    error Refused(uint256 why);

    function store(uint256 slot, uint256 count, uint256 seed) external {
        for (uint256 i = 0; i < count; i++) {
            uint256 value = seed == 0 ? 0 : uint256(keccak256(abi.encode(seed, i)));
            slots[slot + i] = value;
            emit Stored(slot + i, value);
        }
    }

    function grow(uint256 value) external payable returns (address) {
        Leaf leaf = new Leaf{value: msg.value, salt: bytes32(value)}(value);
        leaves.push(address(leaf));
        return address(leaf);
    }

    function growAndDrop(uint256 value) external payable {
        Leaf leaf = new Leaf{value: msg.value}(value);
        leaf.drop(payable(msg.sender));
    }

    function refuse(uint256 why) external pure {
        revert Refused(why);
    }

    function burn(uint256 rounds) external returns (bytes32 found) {
        for (uint256 i = 0; i < rounds; i++) {
            found = sha256(abi.encode(found, i, block.prevrandao, blockhash(block.number - 1), block.timestamp));
        }
        slots[type(uint256).max] = uint256(found);
    }

    receive() external payable {}
}
