// `power:` of farm.yaml: how a node is switched on and off. A profile may say what its nodes have in common, and a node its own address.
import * as z from 'zod';

const bmcKeys = {
  /** Of the baseboard management controller: where it listens, with a port if it is not the usual one. */
  address: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:\d{1,5})?$/i, 'expected the address or the name of the management controller')
    .optional(),
  user: z
    .string()
    .regex(/^[!-~]{1,64}$/, 'expected a user name of the management controller, without blanks')
    .optional(),
  password_file: z.string().min(1).optional(),
};
const wolShape = z.strictObject({});
const ipmiShape = z.strictObject(bmcKeys);
const redfishShape = z.strictObject({
  ...bmcKeys,
  system: z
    .string()
    .regex(/^[\w.~-]{1,64}$/, 'expected the Id of a computer system, such as "1"')
    .optional(),
  ca: z.string().min(1).optional(),
  insecure: z.boolean().optional(),
});

const powerShape = z.strictObject({ wol: wolShape.optional(), ipmi: ipmiShape.optional(), redfish: redfishShape.optional() });

/** The maps below `power`, for complaints. */
export const powerShapes = { power: powerShape, 'power.wol': wolShape, 'power.ipmi': ipmiShape, 'power.redfish': redfishShape };

/** `wol`, or `{ ipmi: { address: 10.9.0.1, user: admin, password_file: bmc-password } }`. */
export const powerSchema = z
  .preprocess((value) => (typeof value === 'string' ? { [value]: {} } : value), powerShape)
  .transform(({ wol, ipmi, redfish }, context): Power => {
    const said = [
      ...(wol === undefined ? [] : [{ kind: 'wol' } as const]),
      ...(ipmi === undefined ? [] : [{ kind: 'ipmi', ...ipmi } as const]),
      ...(redfish === undefined ? [] : [{ kind: 'redfish', ...redfish } as const]),
    ];
    const [power] = said;
    if (power !== undefined && said.length === 1) return power;
    context.addIssue({ code: 'custom', message: 'expected one of wol, ipmi, redfish' });
    return z.NEVER;
  });

/** What may still be missing is missed when the node is to be switched. */
export type IpmiPower = { readonly kind: 'ipmi' } & Readonly<z.output<typeof ipmiShape>>;
export type RedfishPower = { readonly kind: 'redfish' } & Readonly<z.output<typeof redfishShape>>;
export type Power = { readonly kind: 'wol' } | IpmiPower | RedfishPower;

/** `said` has the nearest place first, whose kind it is; each part comes from the nearest place of that kind. */
export function inheritedPower(said: readonly Power[]): Power {
  const [nearest] = said;
  if (nearest === undefined) return { kind: 'wol' };
  let whole: Power = nearest;
  for (const each of said) if (each.kind === nearest.kind) whole = { ...each, ...whole };
  return whole;
}
