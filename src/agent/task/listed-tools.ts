/** The tools that lists may show in a task, as the issuer answers. */
import { DENIAL_STYLES, type DenialStyle } from '../../core/action/denial-style.ts';
import { bool, isObject, listOf, members, optional, type Reader, text } from '../../core/runtime/fields.ts';
import { isProblem } from '../../core/runtime/problem.ts';

/** A tool that a list may show. */
export interface ShownTool {
  /** A sentence about the limits of the task, for its description; `null` for none. */
  readonly limits: string | null;
  /** The digest of the definition that was reviewed; absent if it has no pin. */
  readonly pin?: string;
}

/** Which tools of an upstream a list may show. */
export interface ListedTools {
  /** By the exact name. */
  readonly shown: ReadonlyMap<string, ShownTool>;
  /**
   * If tools that the catalog does not name are shown too, the tools that are hidden nevertheless; `null` if all tools but
   * `shown` are hidden.
   */
  readonly hidden: ReadonlySet<string> | null;
  /** How the upstream answers denied calls. Default `result`. */
  readonly denials?: DenialStyle;
}

/** Whether a list may show a tool. */
export const isShown = ({ shown, hidden }: ListedTools, name: string): boolean =>
  shown.has(name) || (hidden !== null && !hidden.has(name));

const others = { others: 'ignored' } as const;
const name = text({ max: 256 });
/** As many as the catalog of one server can reasonably have; the answer of the issuer is bounded in bytes too. */
const MAX_TOOLS = 4_096;

const toolMembers = members(
  {
    shown: listOf(
      members({ name, limits: optional(text({ max: 16_384 })), pin: optional(text({ max: 64 })) }, others),
      { min: 0, max: MAX_TOOLS },
    ),
    others: optional(bool, false),
    hidden: optional(listOf(name, { min: 0, max: MAX_TOOLS }), []),
    denials: optional(text({ max: 32 })),
  },
  others,
);

/** Parses the issuer's answer about a task: its tools; `null` if nothing is to be hidden. */
export const listedTools: Reader<ListedTools | null> = (answer) => {
  if (!isObject(answer)) return { problem: 'must be an object' };
  if (answer['tools'] === undefined) return null;
  const read = toolMembers(answer['tools']);
  if (isProblem(read)) return { problem: `member \`tools\` ${read.problem}` };
  // A style of a later issuer is not known here.
  const denials = DENIAL_STYLES.find((style) => style === read.denials);
  return {
    shown: new Map(read.shown.map(({ name: of, limits, pin }) => [of, pin === null ? { limits } : { limits, pin }])),
    hidden: read.others ? new Set(read.hidden) : null,
    ...(denials === undefined ? {} : { denials }),
  };
};
