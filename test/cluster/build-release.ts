import { currentRelease } from './release.ts';

// Run once before the tests of a cluster (`test/sequencer.cjs`): each of their files would build it in its first hook.
const { image } = await currentRelease();
process.stdout.write(`the image of this tree: ${image}\n`);
