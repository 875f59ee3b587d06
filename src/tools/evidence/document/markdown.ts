import { printable } from '../../../core/ledger/timeline-text.ts';
import type { Block, Inline, Line } from './block.ts';

/** Blocks as Markdown. Text of records can neither end its line or its cell nor become markup. */
export const markdownFrom = (blocks: readonly Block[]): string =>
  blocks.flatMap((block) => [...linesOf(block), '']).join('\n');

function linesOf(block: Block): readonly string[] {
  switch (block.kind) {
    case 'heading':
      return [`${'#'.repeat(block.level)} ${markdownLine(block.line)}`];
    case 'text':
      return [markdownLine(block.line)];
    case 'list':
      return block.items.map((item) => `- ${markdownLine(item)}`);
    case 'table':
      return tableLines(block);
    case 'code':
      return fenced(block.text);
    default:
      return block satisfies never;
  }
}

const tableLines = ({ head, rows, more }: Extract<Block, { kind: 'table' }>): readonly string[] => [
  `| ${head.join(' | ')} |`,
  `|${head.map(() => '---').join('|')}|`,
  ...rows.map((cells) => `| ${cells.map(markdownLine).join(' | ')} |`),
  ...(more === 0 ? [] : [`| ${more} more |${' |'.repeat(head.length - 1)}`]),
];

const markdownLine = (line: Line): string => line.map(markdownInline).join('');

function markdownInline(inline: Inline): string {
  if (typeof inline === 'string') return escaped(inline);
  return 'code' in inline ? `\`${escaped(inline.code)}\`` : `**${escaped(inline.strong)}**`;
}

const escaped = (text: string): string =>
  printable(text).replaceAll(/[\\|`<>*_[\]]/g, (mark) => (mark === '_' ? mark : `\\${mark}`));

/** A fenced block whose fence is longer than any in the text. */
function fenced(text: string): readonly string[] {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return [`${fence}text`, ...text.trimEnd().split('\n').map(printable), fence];
}
