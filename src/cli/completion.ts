// farm completion: what a shell asks for when Tab is pressed, from the same commands and options that --help shows.
import { Argument, Command } from 'commander';
import { FarmError } from '../base/errors.ts';
import { loadFarm } from '../farm/config.ts';
import { overlayDirectory } from '../farm/directory.ts';
import type { Farm } from '../farm/farm.ts';
import { overlayTemplates, plainPath } from '../farm/overlay-templates.ts';
import { storedImages } from '../farm/stored-images.ts';
import { farmDirectory } from './options.ts';
import { builtinOverlay } from './package.ts';

/** Each shell asks farm itself, so that new nodes, tags and profiles are known at once. */
const scripts = {
  bash: `_farm() {
  local IFS=$'\\n'
  COMPREPLY=($(farm completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _farm farm
`,
  zsh: `#compdef farm
_farm() {
  local -a found
  found=("\${(@f)$(farm completion words -- "\${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)}")
  [[ -n "$found" ]] && compadd -a found || _files
}
# A file of this name in $fpath is run for the first Tab; elsewhere it is only read.
if [ "$funcstack[1]" = _farm ]; then _farm "$@"; else compdef _farm farm; fi
`,
  fish: `function __farm_words
  farm completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null
end
complete -c farm -a '(__farm_words)'
`,
} as const;

type Shell = keyof typeof scripts;

export function completionCommand(): Command {
  return new Command('completion')
    .description('print what makes the Tab key complete commands, options and nodes in your shell')
    .addArgument(new Argument('<shell>', 'bash: in ~/.bashrc eval "$(farm completion bash)"').choices(['bash', 'zsh', 'fish', 'words']))
    .argument('[words...]', 'of `words`: what stands on the line, for which the shell asks')
    .action((shell: Shell | 'words', words: string[], _options: unknown, command: Command) => {
      if (shell !== 'words') process.stdout.write(scripts[shell]);
      else for (const word of completions(rootOf(command), words, () => farmOf(command))) console.log(word);
    });
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

/** undefined where there is no farm, or one that cannot be read: then there are no nodes to offer. */
function farmOf(command: Command): Farm | undefined {
  try {
    return loadFarm(farmDirectory(command));
  } catch (error) {
    if (error instanceof FarmError) return undefined;
    throw error;
  }
}

/** What the last of `words` can become; nothing where any file or text can stand. */
export function completions(program: Command, words: readonly string[], farm: () => Farm | undefined): readonly string[] {
  const word = words.at(-1) ?? '';
  let command = program;
  let place = 0;
  for (let at = 0; at < words.length - 1; at++) {
    const each = words[at] ?? '';
    const option = command.options.find(({ long, short }) => each === long || each === short);
    if (option?.required === true) at++;
    if (option !== undefined || each.startsWith('-')) continue;
    const inner = command.commands.find((candidate) => candidate.name() === each);
    if (inner === undefined) place++;
    else [command, place] = [inner, 0];
  }
  return candidates(command, words.at(-2), place, word, farm).filter((candidate) => candidate.startsWith(word));
}

function candidates(command: Command, before: string | undefined, place: number, word: string, farm: () => Farm | undefined): readonly string[] {
  const asking = command.options.find(({ long, short, required }) => required && before !== undefined && (before === long || before === short));
  if (asking !== undefined) return [...(asking.argChoices ?? []), ...(/<nodes>|<profile>|<network>/.test(asking.flags) ? named(asking.flags, farm()) : [])];
  if (word.startsWith('-')) return command.options.flatMap(({ long }) => long ?? []);
  if (command.commands.length > 0) return command.commands.map((inner) => inner.name());
  const argument = command.registeredArguments[Math.min(place, command.registeredArguments.length - 1)];
  if (argument === undefined) return [];
  return argument.argChoices ?? argumentsFor(argument.name(), command, word, farm);
}

/** By what an argument is called, and where. Nothing: a file, or a text of one's own. */
function argumentsFor(name: string, command: Command, word: string, farm: () => Farm | undefined): readonly string[] {
  const of = command.parent?.name();
  if (/^(?:nodes|node|words)$/.test(name)) return named('<nodes>', farm());
  if (of === 'image' && /^(?:images?|version|old|new)$/.test(name)) return imageNames(farm(), word.includes('/'));
  // As nodes see them: the `$` of a tagged name would have to be quoted, for each shell in its way.
  if (of === 'overlay' && name === 'file') {
    const directory = farm()?.directory;
    return directory === undefined
      ? []
      : [...new Set(overlayTemplates(builtinOverlay, overlayDirectory(directory)).map(({ path }) => plainPath(path)))].filter((path) => !path.includes('{'));
  }
  return [];
}

/** Versions only where one is begun. */
function imageNames(farm: Farm | undefined, withVersions: boolean): readonly string[] {
  if (farm === undefined) return [];
  return storedImages(farm.directory).flatMap(({ name, versions }) => (withVersions ? versions.map(({ version }) => `${name}/${version}`) : [name]));
}

function named(flags: string, farm: Farm | undefined): readonly string[] {
  if (farm === undefined) return [];
  const profiles = farm.profiles.map(({ name }) => name);
  if (flags.includes('<profile>')) return profiles;
  if (flags.includes('<network>')) return farm.networks.map(({ name }) => name);
  const tags = new Set(farm.nodes.flatMap((node) => node.tags));
  return ['all', ...farm.nodes.map(({ name }) => name), ...[...tags].map((tag) => `@${tag}`), ...profiles.map((profile) => `%${profile}`)];
}
