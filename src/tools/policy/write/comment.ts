/** Comments of one line in YAML and in Cedar, for any text. */
import { printable } from '../../../core/ledger/timeline-text.ts';

/**
 * A comment of one line in YAML, for any text: names and paths of imported files and of agents can have line breaks, which would end the
 * comment and begin a route, and control characters.
 */
export const yamlComment = (text: string): string => `# ${printable(text)}`;

/** A comment of one line in Cedar. */
export const cedarComment = (text: string): string => `// ${printable(text)}`;
