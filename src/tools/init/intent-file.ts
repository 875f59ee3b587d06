/** The first intent of the agent of a new folder. */
import type { Answers } from './answers.ts';
import { yamlText } from './written-text.ts';

/** An intent that the policies accept, for `remit run --intent`. */
export const intentFile = ({ tools }: Answers): string => `# yaml-language-server: $schema=intent.schema.json
# What one task is for and what it may do.
purpose: look at the tool server
access:
  - resource: ${yamlText(`https://${tools}`)}
    actions: [tools.home, tools.read]
    constraints: { max_calls: 20 }
expires_in: 15m
`;
