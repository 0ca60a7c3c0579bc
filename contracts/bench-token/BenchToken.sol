// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Token of the load generator: OpenZeppelin's ERC-20, handed out to many holders in one transaction.
contract BenchToken is ERC20 {
    constructor() ERC20("Hansa Bench", "BENCH") {}

    /// @notice Gives `amount` to each of `holders`. Anybody may: the token is worth nothing.
    function give(address[] calldata holders, uint256 amount) external {
        for (uint256 i = 0; i < holders.length; ++i) {
            _mint(holders[i], amount);
        }
    }
}
