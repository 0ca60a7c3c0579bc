// What both JavaScript clients are given and must report; see test_clients.py.
// stdin: {urls: [4 http], ws, key, abi, bytecode, recipient, amount}; stdout: one JSON object.
export async function input() {
  let text = ''
  for await (const chunk of process.stdin) text += chunk
  return JSON.parse(text)
}

export function report(result) {
  console.log(JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? value.toString() : value)))
  process.exit(0)
}

export async function within(milliseconds, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
