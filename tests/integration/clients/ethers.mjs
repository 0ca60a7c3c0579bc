// The ERC-20 scenario with ethers 6: deploy at member 1, use at 2, read at 3, events on the WebSocket of 4.
import { Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider } from 'ethers'
import { input, report, within } from './scenario.mjs'

const { urls, ws, key, abi, bytecode, recipient, amount } = await input()
const options = { pollingInterval: 100 }
const [first, second, third] = urls.map((url) => new JsonRpcProvider(url, undefined, options))

const factory = new ContractFactory(abi, bytecode, new Wallet(key, first))
const token = await factory.deploy(10n ** 24n)
await token.waitForDeployment()
const address = await token.getAddress()

const socket = new WebSocketProvider(ws)
const events = new Contract(address, abi, socket)
const heard = new Promise((resolve) => {
  events.on('Transfer', (from, to, value, event) => resolve({ from, to, value, hash: event.log.transactionHash }))
})
const heads = new Promise((resolve) => socket.on('block', resolve))
await socket.getNetwork()

const sent = await token.connect(new Wallet(key, second)).transfer(recipient, amount)
const receipt = await sent.wait()
const event = await within(20_000, 'Transfer event on the WebSocket', heard)
const head = await within(20_000, 'new head on the WebSocket', heads)
const reader = new Contract(address, abi, third)
let refused = null
try {
  await reader.transfer.staticCall(recipient, 10n ** 30n, { from: recipient })
} catch (error) {
  refused = error.revert?.name ?? error.shortMessage
}
report({
  client: 'ethers',
  address,
  hash: sent.hash,
  status: receipt.status,
  block: receipt.blockNumber,
  balance: await reader.balanceOf(recipient, { blockTag: receipt.blockNumber }),
  before: await reader.balanceOf(recipient, { blockTag: receipt.blockNumber - 1 }),
  event,
  head,
  refused,
  logs: (await reader.queryFilter('Transfer', receipt.blockNumber, receipt.blockNumber)).length,
})
