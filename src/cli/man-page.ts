// A command as a man page in roff, man(7): from the same words as its --help. Byte-identical for the same program.
import type { Command, Help } from 'commander';

export interface ManPage {
  /** `farm-node-list.1` */
  readonly file: string;
  readonly text: string;
}

/** The page of `command` and those of all commands below it. */
export function manPages(command: Command, version: string): readonly ManPage[] {
  return [manPage(command, version), ...command.commands.flatMap((below) => manPages(below, version))];
}

function manPage(command: Command, version: string): ManPage {
  const help = command.createHelp();
  const names = lineage(command);
  const page = names.join('-');
  const above = command.parent === null ? [] : [lineage(command.parent).join('-')];
  const below = command.commands.map((each) => lineage(each).join('-'));
  const related = [...above, ...below];
  const text = [
    `.TH ${escaped(page.toUpperCase())} 1 "" "farm ${escaped(version)}" "farm"`,
    '.SH NAME',
    `${escaped(page)} \\- ${escaped(command.description())}`,
    '.SH SYNOPSIS',
    `.B ${escaped(names.join(' '))}`,
    escaped(command.usage()),
    ...section(
      'ARGUMENTS',
      help.visibleArguments(command).map((argument): Entry => [help.argumentTerm(argument), help.argumentDescription(argument)]),
    ),
    ...section(
      'COMMANDS',
      command.commands.map((each): Entry => [`${names.join(' ')} ${each.name()}`, help.subcommandDescription(each)]),
    ),
    ...section(
      'OPTIONS',
      help.visibleOptions(command).map((option): Entry => [help.optionTerm(option), help.optionDescription(option)]),
    ),
    ...(command.parent === null ? [] : section('GENERAL OPTIONS', inherited(command, help))),
    '.SH EXIT STATUS',
    ...section('', exitStatuses),
    ...(related.length === 0 ? [] : ['.SH SEE ALSO', ...related.map((name, index) => `.BR ${escaped(name)} (1)${index < related.length - 1 ? ',' : ''}`)]),
  ].join('\n');
  return { file: `${page}.1`, text: `${text}\n` };
}

type Entry = readonly [term: string, description: string];

const exitStatuses: readonly Entry[] = [
  ['0', 'done'],
  ['1', 'the answer is no, or some of several failed'],
  ['2', 'could not do it; standard error says why, and mostly what to do'],
];

function lineage(command: Command): readonly string[] {
  return [...(command.parent === null ? [] : lineage(command.parent)), command.name()];
}

function inherited(command: Command, help: Help): readonly Entry[] {
  const root = rootOf(command);
  return help
    .visibleOptions(root)
    .flatMap((option): readonly Entry[] =>
      option.long === '--help' || option.long === '--version' ? [] : [[help.optionTerm(option), help.optionDescription(option)]],
    );
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

/** Tagged paragraphs; nothing for no entries. */
function section(title: string, entries: readonly Entry[]): readonly string[] {
  if (entries.length === 0) return [];
  return [
    ...(title === '' ? [] : [`.SH ${title}`]),
    ...entries.flatMap(([term, description]) => ['.TP', `.B ${escaped(term)}`, escaped(description) || '\\&']),
  ];
}

/** As text of one line: no request at its beginning, no escape inside, hyphens that can be copied. groff_char(7) */
export function escaped(text: string): string {
  const line = text
    .replace(/\s+/g, ' ')
    .trim()
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti');
  return line.startsWith('.') ? `\\&${line}` : line;
}
