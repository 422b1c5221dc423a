// What the two drivers on Yjs share: four documents, each behind a provider of its own.
import * as Y from 'yjs'
import { bodies, messages, READERS, breathe } from './peer.mjs'

// `provider` connects a document and answers when it is synced with the server.
export async function converge(provider) {
  const docs = Array.from({ length: READERS + 1 }, () => new Y.Doc())
  await Promise.all(docs.map(provider))
  const lists = docs.map(doc => doc.getArray('messages'))
  const arrived = lists.map(list => new Promise(resolve => {
    list.observe(() => list.length >= messages && resolve())
  }))
  const begun = performance.now()
  for (const body of bodies) {
    lists[0].push([body])
    await breathe()
  }
  await Promise.all(arrived)
  const seconds = (performance.now() - begun) / 1000
  return [seconds, lists.map(list => list.toArray())]
}
