// Every key of farm.yaml with its type, its default and what is said of a value that cannot be. docs/reference/farm.yaml.md describes them.
import * as z from 'zod';
import { type Ipv4, ipv4Number, mac, parseCidr, parseIpv4 } from '../base/addresses.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { LoaderChoice } from '../boot/plan.ts';
import { optionNames, parseCustomOption } from '../dhcp/custom-options.ts';
import { overflowId } from '../nfs/access.ts';
import { powerSchema, powerShapes } from '../power/setting.ts';
import { groupShape, groupsSchema, sshKeySchema, userShape, usersSchema } from './accounts.ts';
import { bootActions } from './actions.ts';
import { nearest } from './complaints.ts';
import { type FarmOption, type NodeIdentity, nameShape, nfsProcessesMax, type RelayPort } from './farm.ts';
import { parseClientId, parseRelayId, parseUuid } from './identifiers.ts';
import { openmosixShape } from './openmosix-setting.ts';
import { longestSeconds, parseDuration, parseSize } from './quantities.ts';
import { serverUsersSchema, serverUsersShape } from './server-accounts.ts';
import { sharedPathFault } from './shared.ts';

function issue(context: z.RefinementCtx, expected: string): never {
  context.addIssue({ code: 'custom', message: `expected ${expected}` });
  return z.NEVER;
}

const nameSchema = z.string().regex(nameShape, 'expected a host name: letters, digits and inner hyphens, at most 63');
const portSchema = z.int().min(1).max(65_535);
const addressSchema = z.string().transform((text, context) => parseIpv4(text) ?? issue(context, 'an IPv4 address such as 10.11.0.7'));
const cidrSchema = z.string().transform((text, context) => parseCidr(text) ?? issue(context, 'an address with prefix length such as 10.11.0.1/24'));
const rangeSchema = z.string().transform((text, context): { first: Ipv4; last: Ipv4 } => {
  const [first, last, more] = text.split('-').map((part) => parseIpv4(part.trim()));
  if (first === undefined || last === undefined || more !== undefined || ipv4Number(first) > ipv4Number(last)) {
    return issue(context, 'two addresses, lower first, such as 10.11.0.10-10.11.0.250');
  }
  return { first, last };
});
const durationSchema = z
  .union([z.string(), z.number()], { error: 'expected a time such as 90s, 30m, 12h, 7d or infinite' })
  .transform((value, context) => parseDuration(value) ?? issue(context, `a time such as 90s, 30m, 12h, 7d or infinite, at most ${longestSeconds} s`));
const sizeSchema = z
  .union([z.string(), z.number()], { error: 'expected a size such as 64m or 1g' })
  .transform((value, context) => parseSize(value) ?? issue(context, 'a size such as 64m or 1g'));

const macSchema = z.string({ error: 'expected a MAC address as text: put it in quotes' }).transform((text, context) => {
  try {
    return mac(text);
  } catch (error) {
    return issue(context, `a MAC address such as "52:54:00:12:34:56": ${sentence(error)}`);
  }
});

const clientIdSchema = z
  .string({ error: 'expected a client id as text: put it in quotes' })
  .transform((text, context) => parseClientId(text) ?? issue(context, 'option 61 in hex, two bytes at least, such as 01:52:54:00:12:34:56, or text:NAME'));
const relayIdSchema = z
  .string({ error: 'expected text, or hex: before hex digits, in quotes' })
  .transform((text, context) => parseRelayId(text) ?? issue(context, 'text, or hex: before hex digits, 1 to 255 bytes'));
const uuidSchema = z
  .string({ error: 'expected a GUID as text: put it in quotes' })
  .transform((text, context) => parseUuid(text) ?? issue(context, 'a GUID such as 4c4c4544-0035-3010-8054-b4c04f4e4431, not of zeros or ones only'));

const optionsSchema = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((given, context): readonly FarmOption[] => {
    const options: FarmOption[] = [];
    for (const [name, value] of Object.entries(given ?? {})) {
      const option = readOption(name, value, context);
      if (option === undefined) continue;
      const twin = options.find(({ code }) => code === option.code);
      if (twin !== undefined) context.addIssue({ code: 'custom', path: [name], message: `option ${option.code} is here twice: ${twin.name} is the same` });
      options.push(option);
    }
    return options;
  });

function readOption(name: string, value: unknown, context: z.RefinementCtx): FarmOption | undefined {
  if (value === null) {
    context.addIssue({ code: 'custom', path: [name], message: 'it is empty: expected the value of a DHCP option' });
    return undefined;
  }
  try {
    return { name, ...parseCustomOption(name, value) };
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    const known = optionNames();
    const isUnknown = !/^\d+$/.test(name) && !known.includes(name);
    const remedy = error.hint?.replace(/ \(options: .*\)$/s, '');
    const message = `${error.message}${isUnknown ? nearest(name, known) : ''}${remedy === undefined ? '' : `; ${remedy}`}`;
    context.addIssue({ code: 'custom', path: [name], message });
    return undefined;
  }
}

const unknownShape = z.strictObject({
  policy: z.enum(['ignore', 'lease', 'register']),
  limit: z.int().min(1).max(65_535).optional(),
  window: durationSchema.optional(),
  profile: z.string().optional(),
});
/** `lease`, or `{ policy: register, limit: 32, ... }`. */
const unknownSchema = z
  .preprocess((value) => (typeof value === 'object' ? value : { policy: value }), unknownShape)
  .superRefine((unknown, context) => {
    if (unknown.policy === 'register') return;
    for (const key of ['limit', 'window', 'profile'] as const) {
      if (unknown[key] !== undefined) context.addIssue({ code: 'custom', path: [key], message: 'this key is for `policy: register` only' });
    }
  });

const networkShape = z.strictObject({
  interface: z
    .string()
    .regex(/^[^\s/:]{1,15}$/, 'expected the name of a network interface, at most 15 characters')
    .optional(),
  via: z.string().optional(),
  address: cidrSchema,
  range: rangeSchema.optional(),
  dynamic: rangeSchema.optional(),
  router: addressSchema.optional(),
  name_servers: z.array(addressSchema).default([]),
  lease_time: durationSchema.optional(),
  unknown: unknownSchema.optional(),
  dhcp: z.enum(['full', 'proxy', 'off']).default('full'),
  options: optionsSchema,
});

const loaderSchema = z.enum(['auto', 'ipxe', 'ipxe-snp', 'pxelinux', 'grub', 'shim', 'nbi'] satisfies readonly LoaderChoice[]);

export const tagShape = /^[a-z0-9][a-z0-9._-]{0,62}$/i;

const tagsSchema = z
  .array(z.string().regex(tagShape, 'expected a tag: letters, digits, dots, hyphens and underscores, at most 63'))
  .default([])
  .transform((tags): readonly string[] => [...new Set(tags)]);

const quotaShape = z.strictObject({ bytes: sizeSchema.optional(), objects: z.int().min(1).optional() });
/** `2g`, or `{ bytes: 2g, objects: 100000 }`. */
const quotaSchema = z.preprocess((value) => (typeof value === 'object' ? value : { bytes: value }), quotaShape);

const userIdSchema = z
  .int()
  .min(0)
  .max(2 ** 32 - 2); // the last one is no id but -1: leave it as it is
const accessKeys = {
  access: z.enum(['rw', 'ro']).default('rw'),
  squash: z.enum(['none', 'root', 'all']),
  anonuid: userIdSchema.default(overflowId),
  anongid: userIdSchema.default(overflowId),
  privileged: z.boolean().default(true),
};
export const rootAccessShape = z.strictObject({ ...accessKeys, squash: accessKeys.squash.default('none') });
const sharedShape = z.strictObject({
  path: z.string().superRefine((path, context) => {
    const fault = sharedPathFault(path);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
  }),
  ...accessKeys,
  squash: accessKeys.squash.default('root'),
  tags: z.boolean().default(false),
});
/** `/home`, or `{ path: /home, access: ro, ... }`. */
const sharedSchema = z.preprocess((value) => (typeof value === 'string' ? { path: value } : value), sharedShape);

/** What a profile says of its nodes, and a node of itself; src/farm/inherit.ts has the defaults. */
export const bootShape = z.strictObject({
  image: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]*$/, 'expected an image name such as debian-13')
    .optional(),
  kernel_args: z.array(z.string().regex(/^\S+$/, 'expected one kernel argument an entry, without blanks')).optional(),
  console_login: z.boolean().optional(),
  root: z.enum(['nfs', 'ram']).optional(),
  loader: loaderSchema.optional(),
  boot: z.enum(bootActions).optional(),
  quota: quotaSchema.optional(),
  power: powerSchema.optional(),
  openmosix: openmosixShape.optional(),
});

const profileShape = z.strictObject({
  ...bootShape.shape,
  inherit: z.string().optional(),
  root_access: rootAccessShape.optional(),
  shared: z.array(sharedSchema).optional(),
  tags: tagsSchema,
  options: optionsSchema,
});

const relayPortShape = z.strictObject(
  { circuit: relayIdSchema.optional(), remote: relayIdSchema.optional(), relay: addressSchema.optional() },
  { error: ({ code }) => (code === 'invalid_type' ? 'expected what the relay adds, such as { circuit: "eth0" }' : undefined) },
);
const relayPortSchema = relayPortShape.transform(({ circuit, remote, relay }, context): RelayPort => {
  if (circuit === undefined && remote === undefined) return issue(context, '`circuit` or `remote`, or both');
  return { ...(circuit === undefined ? {} : { circuit }), ...(remote === undefined ? {} : { remote }), ...(relay === undefined ? {} : { relay }) };
});

/** openMosix ids are 16 bits, 0 means "not a member". */
export const idMax = 65_535;

export const nodeShape = z.strictObject({
  ...bootShape.shape,
  id: z.int().min(1).max(idMax),
  mac: macSchema.optional(),
  client_id: clientIdSchema.optional(),
  uuid: uuidSchema.optional(),
  relay_port: relayPortSchema.optional(),
  ip: addressSchema,
  profile: z.string().default('default'),
  tags: tagsSchema,
  options: optionsSchema,
});

const tlsShape = z.strictObject({ certificate: z.string().min(1), key: z.string().min(1), port: portSchema.default(443) });
const tftpShape = z.strictObject({
  single_port: z.boolean().default(false),
  // RFC 2348 has 8 to 65464. Without it blocks fit the frames of the interface.
  largest_block: z.int().min(512).max(65_464).optional(),
});
const nfsShape = z.strictObject({ processes: z.int().min(1).max(nfsProcessesMax).optional() });
const uploadShape = z.strictObject({ limit: sizeSchema.default(1024 ** 3) });

/** A map that may stand there empty, as `nodes:` does in a new farm. */
function named<Value extends z.ZodType>(values: Value) {
  return z
    .record(nameSchema, values)
    .nullish()
    .transform((map): Record<string, z.output<Value>> => map ?? {});
}

export const farmSchema = z.strictObject({
  name: nameSchema,
  domain: z
    .string()
    .regex(/^([a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*)?$/i, 'expected a domain name such as farm.lan')
    .default(''),
  http_port: portSchema.default(80),
  lease_time: durationSchema.default(43_200),
  unknown: unknownSchema.default({ policy: 'ignore' }),
  options: optionsSchema,
  tls: tlsShape.optional(),
  tftp: tftpShape.default({ single_port: false }),
  nfs: nfsShape.default({}),
  upload: uploadShape.optional(),
  reserve: z.union([z.literal(0), sizeSchema]).default(512 * 1024 ** 2),
  ssh_keys: z.array(sshKeySchema).default([]),
  users: usersSchema,
  groups: groupsSchema,
  users_from_server: serverUsersSchema.optional(),
  networks: z.record(nameSchema, networkShape).refine((networks) => Object.keys(networks).length > 0, 'expected at least one network'),
  profiles: named(profileShape).default({ default: profileShape.parse({}) }),
  nodes: named(nodeShape).default({}),
});

export type FarmText = z.output<typeof farmSchema>;
export type NetworkText = FarmText['networks'][string];
export type NodeText = FarmText['nodes'][string];
export type UnknownText = FarmText['unknown'];

/** Every map of farm.yaml by its path, `*` for a name or a place in a list. */
export const shapes: Readonly<Record<string, z.ZodObject>> = {
  '': farmSchema,
  unknown: unknownShape,
  tls: tlsShape,
  tftp: tftpShape,
  nfs: nfsShape,
  upload: uploadShape,
  'users.*': userShape,
  'groups.*': groupShape,
  users_from_server: serverUsersShape,
  'networks.*': networkShape,
  'networks.*.unknown': unknownShape,
  'profiles.*': profileShape,
  'profiles.*.quota': quotaShape,
  'profiles.*.root_access': rootAccessShape,
  'profiles.*.shared.*': sharedShape,
  'profiles.*.openmosix': openmosixShape,
  'nodes.*': nodeShape,
  'nodes.*.quota': quotaShape,
  'nodes.*.openmosix': openmosixShape,
  'nodes.*.relay_port': relayPortShape,
  ...Object.fromEntries(['profiles', 'nodes'].flatMap((of) => Object.entries(powerShapes).map(([path, shape]) => [`${of}.*.${path}`, shape]))),
};

/** The keys that the map at `path` may have. */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  const isNamed = ['users', 'groups', 'networks', 'profiles', 'nodes'].includes(String(path[0]));
  const pattern = path.map((key, index) => ((index === 1 && isNamed) || typeof key === 'number' ? '*' : String(key))).join('.');
  return Object.keys(shapes[pattern]?.shape ?? {});
}

/** What a node is known by. */
export function identityOf({ mac, client_id: clientId, uuid, relay_port: relayPort }: NodeText): NodeIdentity {
  return {
    ...(mac === undefined ? {} : { mac }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(relayPort === undefined ? {} : { relayPort }),
  };
}
