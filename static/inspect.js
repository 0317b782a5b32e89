// Looks through a file of users before it is sent: how many rows, the first of them, and whether it is a
// JSON array at all. It reads slice by slice and lets the page breathe in between, so that a file of any
// size can be looked at. What stands inside of rows is the server's business.

/** Rows that are kept to be shown. */
const SHOWN_ROWS = 3;
/** Most bytes kept of each. */
const SHOWN_BYTES = 2000;
/** Bytes looked at in one go: a few milliseconds. */
const SLICE = 1 << 20;

const code = (character) => character.charCodeAt(0);
const [QUOTE, BACKSLASH, COMMA] = [code('"'), code("\\"), code(",")];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [..."[]{}"].map(code);
const NEWLINE = 10;
const isBlank = (byte) => byte === 32 || byte === NEWLINE || byte === 13 || byte === 9;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** What is wrong with a file as a whole, and where. */
export class FileFault extends Error {}

/** Where the scan stands between the rows of the array. */
const BEFORE_ARRAY = "before the array";
const FIRST_ROW = "before the first row";
const NEXT_ROW = "before a row";
const IN_ROW = "in a row";
const AFTER_ROW = "after a row";
const AFTER_ARRAY = "after the array";

/** Counts the rows of a JSON array that comes in pieces. */
export class Scanner {
  rows = 0;
  #place = BEFORE_ARRAY;
  /** The brackets that are open inside the row. */
  #open = [];
  #inString = false;
  #escaped = false;
  #line = 1;
  /** Bytes before the piece in hand, and before the line. */
  #before = 0;
  #lineStart = 0;
  #kept = [];

  push(bytes) {
    let at = this.#before === 0 && BYTE_ORDER_MARK.every((byte, index) => bytes[index] === byte) ? 3 : 0;
    let rowStart = this.#place === IN_ROW ? 0 : -1;
    for (; at < bytes.length; at += 1) {
      const byte = bytes[at];
      if (this.#inString) {
        this.#string(byte, at);
      } else if (this.#place === IN_ROW) {
        if (this.#inside(byte, at)) {
          this.#keep(bytes.subarray(rowStart, at));
          this.#between(byte, at);
        }
      } else if (!isBlank(byte)) {
        this.#between(byte, at);
        if (this.#place === IN_ROW) rowStart = at;
      }
      if (byte === NEWLINE) {
        this.#line += 1;
        this.#lineStart = this.#before + at + 1;
      }
    }
    if (this.#place === IN_ROW) this.#keep(bytes.subarray(rowStart));
    this.#before += bytes.length;
  }

  /** The file ends here. */
  finish() {
    if (this.#before === 0) throw new FileFault("The file is empty.");
    if (this.#place === BEFORE_ARRAY) throw new FileFault("The file is empty but for blanks.");
    if (this.#place !== AFTER_ARRAY) {
      this.#fail(this.#inString ? "the file ends inside of a text" : "the file ends before its array does", 0);
    }
  }

  /** The first rows as they are written, cut where they are long. */
  shown() {
    const decoder = new TextDecoder();
    return this.#kept.map(({ bytes, isCut }) => decoder.decode(new Uint8Array(bytes)).trim() + (isCut ? "…" : ""));
  }

  #string(byte, at) {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = false;
    else if (byte === NEWLINE) this.#fail("a text has no closing quote on its line", at);
  }

  /** Takes a byte of a row; true if the row ended before it. */
  #inside(byte, at) {
    if (byte === QUOTE || byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
      if (this.#open.length === 0) this.#fail("there is no comma between two rows", at);
      this.#enter(byte);
    } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      if (this.#open.length === 0) return true;
      if (this.#open.pop() !== byte) this.#fail(`there is a ${String.fromCharCode(byte)} that closes nothing`, at);
    } else if (this.#open.length === 0) {
      return byte === COMMA || isBlank(byte);
    }
    return false;
  }

  #enter(byte) {
    if (byte === QUOTE) this.#inString = true;
    else if (byte === OPEN_ARRAY) this.#open.push(CLOSE_ARRAY);
    else if (byte === OPEN_OBJECT) this.#open.push(CLOSE_OBJECT);
  }

  /** Takes a byte between rows that is no blank, or the one that ended a row. */
  #between(byte, at) {
    switch (this.#place) {
      case BEFORE_ARRAY:
        if (byte !== OPEN_ARRAY) this.#noArray(byte, at);
        this.#place = FIRST_ROW;
        break;
      case IN_ROW:
        this.rows += 1;
        this.#place = AFTER_ROW;
        if (!isBlank(byte)) this.#between(byte, at);
        break;
      case AFTER_ROW:
        if (byte === COMMA) this.#place = NEXT_ROW;
        else if (byte === CLOSE_ARRAY) this.#place = AFTER_ARRAY;
        else this.#fail("there is no comma between two rows", at);
        break;
      case AFTER_ARRAY:
        this.#fail("something follows the array", at);
        break;
      default:
        this.#begin(byte, at);
    }
  }

  #begin(byte, at) {
    if (byte === CLOSE_ARRAY && this.#place === FIRST_ROW) {
      this.#place = AFTER_ARRAY;
    } else if (byte === CLOSE_ARRAY) {
      this.#fail("there is a comma after the last row", at);
    } else if (byte === COMMA || byte === CLOSE_OBJECT) {
      this.#fail("a row is missing here", at);
    } else {
      this.#place = IN_ROW;
      this.#enter(byte);
    }
  }

  #keep(bytes) {
    const isNew = this.#kept.length <= this.rows;
    if (SHOWN_ROWS <= this.rows || (isNew && bytes.length === 0)) return;
    if (isNew) this.#kept.push({ bytes: [], isCut: false });
    const kept = this.#kept[this.rows];
    const room = SHOWN_BYTES - kept.bytes.length;
    kept.bytes.push(...bytes.subarray(0, room));
    kept.isCut ||= room < bytes.length;
  }

  #noArray(byte, at) {
    if (byte === 0xff || byte === 0xfe || byte === 0) {
      this.#fail("the file is not in UTF-8: save it as UTF-8", at);
    }
    const isObject = byte === OPEN_OBJECT;
    const advice = isObject ? ". If it holds one user or one per line, put [ ] around and commas between them" : "";
    this.#fail(`the file is no JSON array: it begins with ${String.fromCharCode(byte)} instead of [`, at, advice);
  }

  #fail(what, at, advice = "") {
    const byte = this.#before + at;
    const [line, column] = [this.#line, byte - this.#lineStart + 1];
    throw new FileFault(`${what[0].toUpperCase()}${what.slice(1)}, at line ${line}, column ${column}${advice}.`);
  }
}

/** Looks through a file. Throws a [`FileFault`] if it is no array, and stops when `signal` says so. */
export async function inspect(file, signal, onProgress) {
  const scanner = new Scanner();
  for (let from = 0; from < file.size; from += SLICE) {
    const bytes = new Uint8Array(await file.slice(from, from + SLICE).arrayBuffer());
    signal.throwIfAborted();
    scanner.push(bytes);
    onProgress(Math.min(from + SLICE, file.size), scanner);
  }
  scanner.finish();
  return scanner;
}
