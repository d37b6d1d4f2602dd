// A small Redfish service after DMTF DSP0266 1.20 and the ComputerSystem of DSP0268: one collection, systems that are on or off, their Reset action.
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface RedfishService {
  readonly port: number;
  /** By Id: `On`, `Off`. */
  readonly states: Map<string, string>;
  /** ResetType of each Reset, in order. */
  readonly resets: string[];
  /** What the service answers instead, to a path. */
  readonly odd: Map<string, { readonly status: number; readonly body: string }>;
  readonly close: () => Promise<void>;
}

export interface RedfishTerms {
  readonly key: string;
  readonly cert: string;
  readonly user: string;
  readonly password: string;
  readonly allowed: readonly string[];
}

/** PowerState after each ResetType. */
const after: Readonly<Record<string, string>> = { On: 'On', ForceOff: 'Off', GracefulShutdown: 'Off', ForceRestart: 'On', PowerCycle: 'On' };

export async function serveRedfish({ key, cert, user, password, allowed }: RedfishTerms, ids: readonly string[]): Promise<RedfishService> {
  const states = new Map(ids.map((id) => [id, 'Off']));
  const resets: string[] = [];
  const odd: RedfishService['odd'] = new Map();
  const wanted = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const error = (message: string): object => ({ error: { code: 'Base.1.0.GeneralError', message, '@Message.ExtendedInfo': [{ Message: message }] } });
  const answer = (method: string, path: string, body: string): readonly [number, object | undefined] => {
    if (path === '/redfish/v1/Systems') {
      return [200, { 'Members@odata.count': ids.length, Members: ids.map((id) => ({ '@odata.id': `/redfish/v1/Systems/${id}` })) }];
    }
    const [, id = '', action] = /^\/redfish\/v1\/Systems\/([^/]+)(\/Actions\/ComputerSystem\.Reset)?$/.exec(path) ?? [];
    if (!states.has(id)) return [404, error('The resource was not found.')];
    if (action === undefined) {
      const reset = { target: `${path}/Actions/ComputerSystem.Reset`, 'ResetType@Redfish.AllowableValues': allowed };
      return [200, { '@odata.id': path, Id: id, PowerState: states.get(id), Actions: { '#ComputerSystem.Reset': reset } }];
    }
    if (method !== 'POST') return [405, undefined];
    const { ResetType: type }: { ResetType: string } = JSON.parse(body);
    if (!allowed.includes(type)) return [400, error(`The value ${type} for the parameter ResetType is not in the list of acceptable values.`)];
    resets.push(type);
    states.set(id, after[type] ?? 'On');
    return [204, undefined];
  };
  const server: Server = createServer({ key, cert }, (request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      const { url = '', method = '' } = request;
      const instead = odd.get(url);
      if (instead !== undefined) return void response.writeHead(instead.status).end(instead.body);
      const [status, said] = request.headers.authorization === wanted ? answer(method, url, body) : [401, error('Not authorised.')];
      response.writeHead(status, { 'content-type': 'application/json', 'odata-version': '4.0' }).end(said === undefined ? undefined : JSON.stringify(said));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    states,
    resets,
    odd,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
