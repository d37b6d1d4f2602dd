// What the farm answers over HTTP: boot files and menus, the nodes' stages and reports, and what commands ask by the control socket.
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { HttpAnswer } from '../boot/answers.ts';
import type { HttpRequest, HttpRoutes } from '../boot/http.ts';
import { resultsPath } from '../cluster/orders.ts';
import { reportPath } from '../cluster/report.ts';
import { actionsPath } from './action-orders.ts';
import { type BootActions, parseActionCommand } from './action-store.ts';
import { ctlPath, onCtl } from './ctl.ts';
import { nameShape } from './farm.ts';
import type { HandOut } from './handed-out.ts';
import type { Images } from './images.ts';
import { type JobsOptions, jobsPath, onJobs } from './jobs.ts';
import type { LiveFarm } from './live.ts';
import { nodeFile } from './node-files.ts';
import { wipePath } from './private-trees.ts';
import type { Sightings } from './sightings.ts';

export interface RouteParts {
  readonly live: LiveFarm;
  readonly images: Images;
  readonly actions: BootActions;
  readonly sightings: Sightings;
  readonly handOut: HandOut;
  readonly clock: Clock;
  readonly wipe: (node: string) => Promise<void>;
  readonly jobs: JobsOptions;
}

const stagePath = '/stage';

/** What every node posts every few seconds; what it says is logged when it is news. */
export function isRoutine(path: string): boolean {
  return path === reportPath || path === resultsPath || path === stagePath;
}

export function farmRoutes({ live, images, actions, sightings, handOut, clock, wipe, jobs }: RouteParts): HttpRoutes {
  const byName = (request: HttpRequest): HttpAnswer | undefined => {
    if (request.path === '/status') return { kind: 'json', value: sightings.status() };
    return request.path === '/healthz' ? { kind: 'text', text: 'ok\n' } : undefined;
  };

  /** The node itself tells how it is. */
  const told = (request: HttpRequest, client: Ipv4): HttpAnswer => {
    const node = live.published.byAddress.get(client);
    if (node === undefined) return { kind: 'error', status: 403, message: `${client} is no node of this farm` };
    actions.note(node.name, 'running', clock.now());
    if (request.path === resultsPath) return sightings.takeResults(request, node);
    return request.path === reportPath ? sightings.takeReport(request, node) : sightings.takeStage(request, node);
  };

  const file = async (path: string, client: Ipv4): Promise<HttpAnswer | undefined> => {
    const own = nodeFile(live, images, path, client);
    if (own !== undefined) return own;
    const body = await handOut(path, client);
    return body?.kind === 'text' ? { ...body, type: 'text/plain; charset=utf-8' } : body;
  };

  return async (request) => {
    const { path, client } = request;
    const named = byName(request);
    if (named !== undefined) return named;
    // By the control socket, which its owner alone can open.
    if (client === undefined && path === wipePath) return onWipe(request, wipe);
    if (client === undefined && path === jobsPath) return onJobs(request, jobs);
    if (client === undefined && path === ctlPath) return onCtl(request, sightings.orders, live.published);
    if (client === undefined) return path === actionsPath ? onActions(request, actions, clock) : undefined;
    return isRoutine(path) ? told(request, client) : file(path.slice(1), client);
  };
}

async function onActions({ method, body }: HttpRequest, actions: BootActions, clock: Clock): Promise<HttpAnswer> {
  if (method !== 'POST') return { kind: 'json', value: Object.fromEntries(actions.all()) };
  try {
    await actions.take(parseActionCommand(body), clock.now());
    return { kind: 'text', text: 'taken\n' };
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    return { kind: 'error', status: error.code === 'action.invalid' ? 400 : 500, message: sentence(error) };
  }
}

async function onWipe({ method, body }: HttpRequest, wipe: (node: string) => Promise<void>): Promise<HttpAnswer> {
  const node = (body ?? Buffer.alloc(0)).toString();
  if (method !== 'POST' || !nameShape.test(node)) return { kind: 'error', status: 400, message: `${JSON.stringify(node)} is the name of no node` };
  await wipe(node);
  return { kind: 'text', text: 'wiped\n' };
}
