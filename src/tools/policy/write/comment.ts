/** Comments in YAML, one line whatever the text. */
import { printable } from '../../../core/ledger/timeline-text.ts';

/**
 * A comment of one line in YAML, whatever the text: names and paths of imported files and of agents can have line breaks, which would end the
 * comment and begin a route, and characters that a terminal obeys.
 */
export const yamlComment = (text: string): string => `# ${printable(text)}`;

/** A comment of one line in Cedar. */
export const cedarComment = (text: string): string => `// ${printable(text)}`;
