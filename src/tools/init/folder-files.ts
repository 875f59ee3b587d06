import { readFile } from 'node:fs/promises';
import { productFile } from '../../core/runtime/system/product-file.ts';
import { shippedSpireConfig } from './envoy-config.ts';
import type { Answers } from './answers.ts';
import { envoyFileFrom } from './envoy-file.ts';
import { firstCallScript } from './first-call-script.ts';
import { hostFiles } from './host-files.ts';
import { intentFile } from './intent-file.ts';
import { policyFiles } from './policy-files.ts';
import { registerScript } from './register-script.ts';
import { remitFile } from './remit-file.ts';
import { valuesFile } from './values-file.ts';

/** The files of a folder that `remit init` makes, by their path in it. */
export async function folderFiles(answers: Answers): Promise<ReadonlyMap<string, string>> {
  const base = await shipped('cedar-policies/base.cedarschema');
  const policies = policyFiles(base, answers);
  const ofHost =
    answers.host === 'envoy'
      ? new Map([
          ['envoy.yaml', envoyFileFrom(await shippedSpireConfig(), answers)],
          ['first-call.sh', firstCallScript(answers)],
        ])
      : new Map([...(await hostFiles(answers)), ['values.yaml', valuesFile(answers, policies)]]);
  return new Map([
    ['remit.yaml', remitFile(answers)],
    ...ofHost,
    ['intent.yaml', intentFile(answers)],
    ['intent.schema.json', await shipped('deploy/schemas/intent.schema.json')],
    ['register.sh', registerScript(answers)],
    ...policies,
  ]);
}

/** A file of the package. */
const shipped = (path: string): Promise<string> => readFile(productFile(path), 'utf8');
