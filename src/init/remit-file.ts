import { join } from 'node:path';
import { isLoopback } from '../runtime/loopback-host.ts';
import { issuerPortOf, type Answers } from './answers.ts';
import { PAGES } from './envoy-file.ts';
import { remitId } from './identities.ts';
import { yamlText } from './written-text.ts';

/** The configuration of \`remit serve\` for these answers. */
export const remitFile = (
  answers: Answers,
): string => `# Written by \`remit init\`. Every key: ${PAGES}/guide/reference/configuration.md
# Check it after a change: remit serve --check --config remit.yaml
trustDomains: [${yamlText(answers.trustDomain)}]
extAuthz: { listen: ${yamlText(`unix:${join(answers.folder, 'run/check.sock')}`)} }
svid: { workloadApi: ${yamlText(`unix:${answers.workloadApi}`)}, id: ${yamlText(remitId(answers))} }
issuer: { listen: ${yamlText(issuerListenOf(answers.issuer))}, url: ${yamlText(answers.issuer)} }
policies: policies
state: sqlite:state/state.db
`;

/** An issuer that is called by a name of this machine alone listens there alone. */
const issuerListenOf = (url: string): string =>
  `${isLoopback(new URL(url).hostname) ? '127.0.0.1' : '0.0.0.0'}:${issuerPortOf(url)}`;
