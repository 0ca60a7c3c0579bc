// One step of the ERC-20 scenario, run as `hardhat run hardhat.cjs --network memberN` with HANSA_STEP in the environment:
// {do: "deploy"} | {do: "transfer", address, recipient, amount} | {do: "read", address, recipient, block}.
// stdout: one JSON object on the last line. Hardhat signs with the network's account; nodes hold no keys.
const hre = require('hardhat')
const { Interface } = require('ethers')

const { provider } = hre.network

async function mined(transaction) {
  const hash = await provider.send('eth_sendTransaction', [transaction])
  for (let tries = 0; tries < 200; tries++) {
    const receipt = await provider.send('eth_getTransactionReceipt', [hash])
    if (receipt !== null) return receipt
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`${hash} is not mined after 20 s`)
}

const STEPS = {
  async deploy({ token, owner }) {
    const artifact = await hre.artifacts.readArtifact('Token')
    const data = artifact.bytecode + token.encodeDeploy([10n ** 24n]).slice(2)
    return mined({ from: owner, data })
  },

  async transfer({ token, owner, address, recipient, amount }) {
    return mined({ from: owner, to: address, data: token.encodeFunctionData('transfer', [recipient, BigInt(amount)]) })
  },

  async read({ token, address, recipient, block }) {
    const data = token.encodeFunctionData('balanceOf', [recipient])
    const balance = async (at) => BigInt(await provider.send('eth_call', [{ to: address, data }, '0x' + at.toString(16)]))
    const transfer = token.encodeFunctionData('transfer', [recipient, 10n ** 30n])
    let refused = null
    try {
      await provider.send('eth_call', [{ from: recipient, to: address, data: transfer }, 'latest'])
    } catch (error) {
      refused = token.parseError(error.data?.data ?? error.data)?.name ?? error.message
    }
    return { balance: String(await balance(block)), before: String(await balance(block - 1)), refused }
  },
}

async function main() {
  const step = JSON.parse(process.env.HANSA_STEP)
  const { abi } = await hre.artifacts.readArtifact('Token')
  const [owner] = await provider.send('eth_accounts', [])
  console.log(JSON.stringify(await STEPS[step.do]({ token: new Interface(abi), owner, ...step })))
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
