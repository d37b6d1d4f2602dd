// Finds the credential for a registry in the files where docker and podman keep them, in podman's order.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { FarmError, sentence, systemCode } from '../../base/errors.ts';
import { run } from '../../base/processes.ts';
import { type Credential, credentialFor, readHelped } from './credentials.ts';
import type { ImageReference } from './reference.ts';

/** undefined: none, and the registry is asked without. Throws `FarmError` `registry.credentials`, `program.*`. */
export async function findCredential({ domain, repository }: ImageReference, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<Credential | undefined> {
  for (const { path, named } of loginFiles(env)) {
    const text = readLogins(path, named);
    const found = text === undefined ? undefined : credentialFor(text, path, domain, repository);
    if (found === undefined) continue;
    if (found.kind !== 'helper') return found;
    return readHelped((await run(found.program, ['get'], { input: found.server, signal })).toString(), found.program);
  }
  return undefined;
}

/** `named`: somebody said so, and then it must be there. */
function loginFiles(env: NodeJS.ProcessEnv): readonly { readonly path: string; readonly named: boolean }[] {
  const { REGISTRY_AUTH_FILE: file, XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: config, DOCKER_CONFIG: docker } = env;
  if (file !== undefined && file !== '') return [{ path: file, named: true }];
  const home = env['HOME'] ?? homedir();
  const paths = [
    ...(runtime === undefined ? [] : [join(runtime, 'containers/auth.json')]),
    join(config ?? join(home, '.config'), 'containers/auth.json'),
    join(docker ?? join(home, '.docker'), 'config.json'),
  ];
  return paths.map((path) => ({ path, named: false }));
}

function readLogins(path: string, named: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && !named) return undefined;
    throw new FarmError(
      'registry.credentials',
      `${path} cannot be read: ${sentence(error)}`,
      named ? 'REGISTRY_AUTH_FILE names it' : 'run it as its owner',
      error,
    );
  }
}
