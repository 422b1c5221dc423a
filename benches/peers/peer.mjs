// What the drivers in JavaScript share. `node DRIVER FOLDER MESSAGES` prints one line of JSON; see README.md.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const [, driver, folder, count] = process.argv
export const messages = Number(count)
export const READERS = 3

// 80 bytes each, the same ones for every peer.
export const bodies = Array.from({ length: messages }, (_, number) => `message ${number} `.padEnd(80, 'x'))

export const hash = list => createHash('sha256').update(list.map(body => body + '\n').join('')).digest('hex')

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

// Starts a server on the core for servers and waits until its port takes a connection.
export async function serve(command, port, env = {}) {
  const prefix = (process.env.PEER_SERVER_PREFIX ?? '').split(' ').filter(Boolean)
  const [program, ...rest] = [...prefix, ...command]
  const server = spawn(program, rest, { stdio: ['ignore', 2, 2], env: { ...process.env, ...env } })
  process.on('exit', () => server.kill('SIGKILL'))
  while (!(await opens(port))) {
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

function opens(port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => (socket.destroy(), resolve(true)))
    socket.once('error', () => resolve(false))
  })
}

// Lets sockets be read and written between two changes: a burst that never yields would be one big batch.
export const breathe = () => new Promise(resolve => setImmediate(resolve))

export function version(name) {
  const path = join(fileURLToPath(new URL('.', import.meta.url)), 'node_modules', name, 'package.json')
  return `${name} ${JSON.parse(readFileSync(path)).version}`
}

// Every content must be all messages in the order in which they were written.
export function finish(seconds, contents, versions, caveats) {
  const expected = hash(bodies)
  const valid = contents.length === READERS + 1 && contents.every(list => list.length === messages && hash(list) === expected)
  const line = { seconds, valid, hash: hash(contents.at(-1)), version: `${versions.join(', ')}, node ${process.version}`, caveats }
  process.stdout.write(JSON.stringify(line) + '\n', () => process.exit(valid ? 0 : 1))
}
