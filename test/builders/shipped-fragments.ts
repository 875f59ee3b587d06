import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fragmentFrom } from '../../src/tools/inject/fragment.ts';
import type { Fragments } from '../../src/tools/inject/fragments.ts';
import { helperFragmentFrom } from '../../src/tools/inject/helper-fragment.ts';

const textOf = (name: string): string =>
  readFileSync(resolve(import.meta.dirname, '../../deploy/inject', name), 'utf8');

/** What `remit inject` adds to pods, from the files of `deploy/inject`. */
export const shippedFragments = (image?: string): Fragments => ({
  sidecar: fragmentFrom(textOf('pod.yaml'), { image }),
  helper: helperFragmentFrom(textOf('agent.yaml'), { image }),
});
