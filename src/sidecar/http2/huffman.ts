/**
 * The Huffman code in canonical form: the symbols of each code length, in order. Codes of one length are consecutive and
 * continue where the shorter length ends. Symbol 256 (EOS) is never written.
 *
 * @see RFC 7541 appendix B
 */
const SYMBOLS: readonly (readonly [bits: number, symbols: readonly number[]])[] = [
  [5, [48, 49, 50, 97, 99, 101, 105, 111, 115, 116]],
  [6, [32, 37, 45, 46, 47, ...range(51, 57), 61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112, 114, 117]],
  [7, [58, ...range(66, 87), 89, 106, 107, 113, ...range(118, 122)]],
  [8, [38, 42, 44, 59, 88, 90]],
  [10, [33, 34, 40, 41, 63]],
  [11, [39, 43, 124]],
  [12, [35, 62]],
  [13, [0, 36, 64, 91, 93, 126]],
  [14, [94, 125]],
  [15, [60, 96, 123]],
  [19, [92, 195, 208]],
  [20, [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [
    22,
    [
      129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198,
      228, 232, 233,
    ],
  ],
  [
    23,
    [
      1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182,
      183, 188, 191, 197, 231, 239,
    ],
  ],
  [24, [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, [199, 207, 234, 235]],
  [26, [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [27, [203, 204, 211, 212, 214, 221, 222, 223, 241, ...range(244, 248), ...range(250, 254)]],
  [28, [...range(2, 8), 11, 12, ...range(14, 21), ...range(23, 31), 127, 220, 249]],
  [30, [10, 13, 22, 256]],
];

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

const END = 256;
/** Inner nodes of the tree: the number of its leaves minus 1. */
const NODES = 256;
const NIBBLES = 16;
const NONE = -1;

/**
 * The code as a state machine that reads four bits per step. For each inner node and nibble: the next node, and the decoded
 * symbol, of which there is at most one because no code is shorter than five bits. A step through EOS leads to no node.
 */
const next = new Int16Array(NODES * NIBBLES).fill(NONE);
const given = new Int16Array(NODES * NIBBLES).fill(NONE);
/** The nodes where a text may end: after fewer than eight one-bits of padding. */
const mayEnd = new Uint8Array(NODES);
buildMachine();

function buildMachine(): void {
  const tree = treeOf();
  let node = 0;
  for (let bits = 0; bits < 8; bits += 1) {
    mayEnd[node] = 1;
    node = tree[node * 2 + 1] ?? 0;
  }
  for (let from = 0; from < NODES; from += 1) {
    for (let nibble = 0; nibble < NIBBLES; nibble += 1) step(tree, from, nibble);
  }
}

function step(tree: Int16Array, from: number, nibble: number): void {
  let node = from;
  let symbol = NONE;
  for (let bit = 3; bit >= 0; bit -= 1) {
    const child = tree[node * 2 + ((nibble >> bit) & 1)] ?? 0;
    if (child >= 0) {
      node = child;
      continue;
    }
    symbol = -child - 1;
    if (symbol === END) return;
    node = 0;
  }
  next[from * NIBBLES + nibble] = node;
  given[from * NIBBLES + nibble] = symbol;
}

/** The two children of each inner node: a node, or a symbol as `-1 - symbol`. */
function treeOf(): Int16Array {
  const tree = new Int16Array(NODES * 2);
  let nodes = 1;
  let code = 0;
  let bitsBefore = 0;
  for (const [bits, symbols] of SYMBOLS) {
    code *= 2 ** (bits - bitsBefore);
    bitsBefore = bits;
    for (const symbol of symbols) {
      let node = 0;
      for (let bit = bits - 1; bit > 0; bit -= 1) {
        const place = node * 2 + ((code >>> bit) & 1);
        if (tree[place] === 0) tree[place] = nodes++;
        node = tree[place] ?? 0;
      }
      tree[node * 2 + (code & 1)] = -1 - symbol;
      code += 1;
    }
  }
  return tree;
}

/** Upper bound of decoded characters per encoded byte: the shortest code has five bits. */
export const HUFFMAN_EXPANSION = 8 / 5;

/**
 * Decodes a Huffman-coded string.
 *
 * @param into receives one byte per character; must hold `HUFFMAN_EXPANSION` times the encoded length
 * @returns the number of characters; -1 if the string is invalid: it contains EOS or its padding is wrong
 * @see RFC 7541 section 5.2
 */
export function decodeHuffman(bytes: Buffer, from: number, to: number, into: Buffer): number {
  let node = 0;
  let length = 0;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    let place = node * NIBBLES + (byte >>> 4);
    let symbol = given[place] ?? NONE;
    node = next[place] ?? NONE;
    if (node < 0) return -1;
    if (symbol >= 0) into[length++] = symbol;
    place = node * NIBBLES + (byte & 0xf);
    symbol = given[place] ?? NONE;
    node = next[place] ?? NONE;
    if (node < 0) return -1;
    if (symbol >= 0) into[length++] = symbol;
  }
  return mayEnd[node] === 1 ? length : -1;
}
