// The farm's server asks one agent, over the agents' own link: TLS with the key that the farm's nodes have (src/agent/link/).
import { once } from 'node:events';
import { connect } from 'node:tls';
import { jobPurpose } from '../agent/checkpoints/asked.ts';
import { opened } from '../agent/link/calls.ts';
import { firstFrame } from '../agent/link/first-frame.ts';
import { asAnswer, encodeFrame } from '../agent/link/frames.ts';
import { formatIdentity, keyName, serverId } from '../agent/link/identity.ts';
import { defaultLinkPort, tls } from '../agent/link/link.ts';
import { FarmError, sentence } from '../base/errors.ts';
import { linkKey } from '../cluster/key.ts';
import type { Node } from './farm.ts';

/** Ms for a connection and its handshake: old machines take a second under load. */
const connectPatience = 10_000;

/**
 * Its answer to a question about jobs. `key`: the one that nodes have; `patience`: ms that the answer may take. Throws what the agent throws, and `FarmError` `link.down`,
 * `link.cut`.
 */
export async function askAgent(
  node: Pick<Node, 'id' | 'name' | 'address' | 'network'>,
  key: Buffer,
  question: object,
  patience: number,
  port = defaultLinkPort,
): Promise<unknown> {
  const credentials = { psk: linkKey(key), identity: formatIdentity({ from: serverId, to: node.id, key: keyName(key) }) };
  const socket = connect({
    ...{ ...tls, host: node.address, port, localAddress: node.network.server },
    pskCallback: () => credentials,
    checkServerIdentity: () => undefined, // it has no certificate: it has the key
  });
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(connectPatience) }).catch((error: unknown) => {
      const why = error instanceof Error && error.name === 'AbortError' ? `no answer in ${connectPatience} ms` : sentence(error);
      throw new FarmError('link.down', `the agent of ${node.name} cannot be reached: ${why}`, 'farm status shows whether it is up', error);
    });
    socket.on('error', () => {}); // whoever reads is told
    socket.write(encodeFrame({ purpose: jobPurpose, header: question }));
    await opened(socket, node.id, connectPatience);
    const answer = asAnswer(
      await firstFrame(socket, patience).catch((error: unknown) => {
        throw new FarmError('link.cut', `the agent of ${node.name} did not answer: ${sentence(error)}`, 'farm job list shows what has become of it', error);
      }),
    );
    if ('value' in answer) return answer.value;
    throw new FarmError(answer.code, answer.message, answer.hint);
  } finally {
    socket.on('error', () => {}).destroy();
  }
}
