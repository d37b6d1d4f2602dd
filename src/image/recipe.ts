// An image recipe: the YAML file that says what a node's root file system is made of. Every error says file, line and what was expected.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import * as z from 'zod';
import { FarmError, systemCode } from '../base/errors.ts';
import { complaintsOf, inWords, nearest } from '../farm/complaints.ts';
import { type Distribution, distributions } from './mirror.ts';
import { type ModuleChoice, type ModuleClassName, moduleClasses } from './modules.ts';

/** A file that the recipe adds to the root, or puts in the place of one that a package brought. Owned by root. */
export type RecipeFile =
  | { readonly path: string; readonly kind: 'file'; readonly content: Buffer; readonly mode: number }
  | { readonly path: string; readonly kind: 'symlink'; readonly target: string };

export interface Recipe {
  /** The image's name: the recipe's file name without `.yaml`. */
  readonly name: string;
  /** `packages`: a system of packages; `busybox`: busybox and nothing else, on which packages are unpacked, not installed. */
  readonly base: 'packages' | 'busybox';
  readonly distribution: Distribution;
  /** The release's code name, e.g. `trixie`. */
  readonly suite: string;
  readonly mirror: string | undefined;
  /** The file with the mirror's keys; undefined: the distribution's. */
  readonly keyring: string | undefined;
  /** Seconds since 1970 (SOURCE_DATE_EPOCH). */
  readonly epoch: number;
  readonly packages: readonly string[];
  /** The kernel package, or a package that depends on it. */
  readonly kernel: string;
  /** What the initramfs carries. */
  readonly modules: ModuleChoice;
  readonly exclude: readonly string[];
  readonly files: readonly RecipeFile[];
}

/** Beside dist/ and src/ in the package: recipes, and the initramfs' own files. */
export const imagesSource = fileURLToPath(new URL('../../images/', import.meta.url));

// Debian policy 5.6.1, with apt's `name=version` and `name/suite`.
const packageSchema = z.string().regex(/^[a-z0-9][a-z0-9.+-]+([=/][A-Za-z0-9.+:~-]+)?$/, 'expected the name of a Debian package');
const pathSchema = z.string().refine((path) => /^(\/[^/\0]+)+$/.test(path) && !/\/\.\.?(\/|$)/.test(path), 'expected an absolute path without . and ..');
const modeSchema = z.string('expected a mode in quotes, such as "0755"').regex(/^[0-7]{3,4}$/, 'expected a mode in octal and in quotes, such as "0755"');
const fileSchema = z.union(
  [
    z.strictObject({ link: z.string().min(1) }),
    z.strictObject({ content: z.string(), mode: modeSchema.default('0644') }),
    z.strictObject({ source: z.string().min(1), mode: modeSchema.default('0644') }),
  ],
  'expected one of: link: TARGET; content: TEXT; source: FILE beside the recipe; the last two may have a mode in quotes, such as "0755"',
);
const classNames = Object.keys(moduleClasses) as [ModuleClassName, ...ModuleClassName[]];
const suiteSchema = z.string().regex(/^[a-z][a-z0-9-]*$/, 'expected the code name of a release, such as trixie or noble');
const recipeSchema = z
  .strictObject({
    base: z.enum(['packages', 'busybox']).default('packages'),
    distribution: z.enum(Object.keys(distributions) as [Distribution, ...Distribution[]]).default('debian'),
    suite: suiteSchema,
    mirror: z.url({ protocol: /^https?$/, error: 'expected the address of a mirror, such as http://deb.debian.org/debian' }).optional(),
    keyring: z.string().min(1).optional(),
    epoch: z.iso.datetime({ offset: true, error: 'expected a time such as 2026-01-01T00:00:00Z' }).transform((text) => Math.floor(Date.parse(text) / 1000)),
    packages: z.array(packageSchema),
    kernel: packageSchema.optional(),
    modules: z.union([z.literal('all'), z.array(z.enum(classNames))], { error: moduleComplaint }),
    exclude: z.array(z.string().startsWith('/', 'expected a pattern that starts with /')).default([]),
    files: z.record(pathSchema, fileSchema).default({}),
  })
  .refine(({ base, exclude }) => base === 'packages' || exclude.length === 0, {
    path: ['exclude'],
    error: 'packages on base: busybox are unpacked whole, so nothing can be excluded',
  });

/** zod tries the alternatives of a union one after the other and tells of the last; this tells of what was meant. */
function moduleComplaint({ input }: { readonly input?: unknown }): string {
  const expected = `expected all, or a list of: ${classNames.join(', ')}`;
  const words = (Array.isArray(input) ? input : [input]).filter((word) => typeof word === 'string');
  const wrong = words.find((word) => !classNames.some((name) => name === word));
  return wrong === undefined ? expected : `there is no module class ${wrong}${nearest(wrong, ['all', ...classNames])}; ${expected}`;
}

/** Whether apt would take it for the name of a package. */
export function isPackageName(text: string): boolean {
  return packageSchema.safeParse(text).success;
}

/** Names of the recipes that farm brings, sorted. */
export function recipeNames(): readonly string[] {
  return readdirSync(imagesSource)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => basename(name, '.yaml'))
    .sort();
}

/** Reads the recipe of that name from farm's own, or from a path if it has a slash or ends in `.yaml`. Throws `FarmError` `recipe.*`. */
export function loadRecipe(nameOrPath: string): Recipe {
  const isPath = nameOrPath.includes('/') || nameOrPath.endsWith('.yaml');
  const path = isPath ? resolve(nameOrPath) : join(imagesSource, `${nameOrPath}.yaml`);
  const guess = isPath ? '' : nearest(nameOrPath, recipeNames());
  const hint = isPath
    ? 'correct the path, or give the name of one of the recipes that farm brings'
    : `there are: ${recipeNames().join(', ')}; or give the path of your own`;
  return parseRecipe(read(path, 'recipe.missing', `there is no recipe ${isPath ? path : `${nameOrPath}${guess}`}`, hint).toString(), path);
}

/** Reads a recipe's text; `path` names it in errors, and files that it takes as `source` lie beside it. */
export function parseRecipe(text: string, path: string): Recipe {
  const name = basename(path, '.yaml');
  if (!/^[a-z0-9][a-z0-9.-]*$/.test(name)) {
    throw new FarmError('recipe.invalid', `${path}: "${name}" cannot be an image's name`, 'rename the file: small letters, digits, dots and hyphens');
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [syntax] = document.errors;
  if (syntax !== undefined) {
    throw invalid([`${path}:${lines.linePos(syntax.pos[0]).line}: ${syntax.message.split('\n')[0]}`]);
  }
  const parsed = recipeSchema.safeParse(document.toJS(), { error: inWords });
  if (!parsed.success) {
    throw invalid(
      complaintsOf(parsed.error.issues, keysAt).map(
        ({ path: keys, message }) => `${path}${position(document, lines, keys)}: ${keys.length === 0 ? '' : `${keys.join('.')}: `}${message}`,
      ),
    );
  }
  const { files, kernel, keyring, ...recipe } = parsed.data;
  return {
    ...recipe,
    name,
    kernel: kernel ?? distributions[recipe.distribution].kernel,
    keyring: keyring === undefined ? undefined : resolve(dirname(path), keyring),
    mirror: recipe.mirror?.replace(/\/$/, ''),
    files: Object.entries(files).map(([at, file]) => recipeFile(at, file, path)),
  };
}

/** Of the maps in a recipe only the outermost has keys of its own; those of a file are told by its schema. */
function keysAt(path: readonly PropertyKey[]): readonly string[] {
  return path.length === 0 ? Object.keys(recipeSchema.shape) : [];
}

function recipeFile(at: string, file: z.infer<typeof fileSchema>, recipe: string): RecipeFile {
  const path = Buffer.from(at.slice(1)).toString('latin1');
  if ('link' in file) return { path, kind: 'symlink', target: Buffer.from(file.link).toString('latin1') };
  const mode = Number.parseInt(file.mode, 8);
  if ('content' in file) return { path, kind: 'file', content: Buffer.from(file.content), mode };
  const source = resolve(dirname(recipe), file.source);
  return { path, kind: 'file', content: read(source, 'recipe.invalid', `${recipe}: there is no ${source}, the source of ${at}`, 'correct the recipe'), mode };
}

function read(path: string, code: string, message: string, hint: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new FarmError(code, message, hint, error);
  }
}

function invalid(complaints: readonly string[]): FarmError {
  return new FarmError('recipe.invalid', complaints.join('\n'), "correct the recipe; images/debian-13.yaml is an example with every key's meaning");
}

/** `:line` of the deepest key of `keys` that is in the file. */
function position(document: Document, lines: LineCounter, keys: readonly PropertyKey[]): string {
  for (let depth = keys.length; depth > 0; depth--) {
    const holder = depth === 1 ? document.contents : document.getIn(keys.slice(0, depth - 1), true);
    const key = isMap(holder)
      ? holder.items.find((pair) => isScalar(pair.key) && pair.key.value === keys[depth - 1])?.key
      : document.getIn(keys.slice(0, depth), true);
    if (isNode(key) && key.range) return `:${lines.linePos(key.range[0]).line}`;
  }
  return ':1';
}
