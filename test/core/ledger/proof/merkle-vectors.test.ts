import { expect, it } from '@jest/globals';
import { consistencyProblem } from '../../../../src/core/ledger/proof/consistency-proof.ts';
import { inclusionProblem } from '../../../../src/core/ledger/proof/inclusion-proof.ts';
import { describeWithVectors, vectorBytes, vectorFiles } from '../../token/vectors.ts';

interface InclusionVector {
  readonly leafIdx: number;
  readonly treeSize: number;
  readonly root: string | null;
  readonly leafHash: string | null;
  readonly proof: readonly string[] | null;
  readonly wantErr: boolean;
}
interface ConsistencyVector {
  readonly size1: number;
  readonly size2: number;
  readonly root1: string | null;
  readonly root2: string | null;
  readonly proof: readonly string[] | null;
  readonly wantErr: boolean;
}

const filesOf = (folder: string): readonly string[] =>
  vectorFiles(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    return name.endsWith('.json') || name === 'none' ? path : filesOf(path);
  });
// The vectors are a reference: a wrong shape fails a case.
const vectorFrom = (path: string): unknown => JSON.parse(vectorBytes(path).toString());
const bytesOf = (text: string | null): Buffer => Buffer.from(text ?? '', 'base64');

describeWithVectors('the Merkle proofs of transparency-dev', 'merkle', () => {
  const inclusion = filesOf('merkle/inclusion');
  const consistency = filesOf('merkle/consistency');

  it('are 98 and 98', () => {
    expect([inclusion.length, consistency.length]).toEqual([98, 98]);
  });

  it.each(inclusion)('%s', (path) => {
    const { leafIdx, treeSize, root, leafHash, proof, wantErr } = vectorFrom(path) as InclusionVector;
    const problem = inclusionProblem(bytesOf(leafHash), {
      index: leafIdx,
      size: treeSize,
      root: bytesOf(root),
      proof: (proof ?? []).map(bytesOf),
    });
    expect(problem === null).toBe(!wantErr);
  });

  it.each(consistency)('%s', (path) => {
    const { size1, size2, root1, root2, proof, wantErr } = vectorFrom(path) as ConsistencyVector;
    const problem = consistencyProblem({
      oldSize: size1,
      oldRoot: bytesOf(root1),
      size: size2,
      root: bytesOf(root2),
      proof: (proof ?? []).map(bytesOf),
    });
    expect(problem === null).toBe(!wantErr);
  });
});
