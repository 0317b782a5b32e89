// Calls one after the other, and which of them pass.

export class Report {
  #sdk;
  #failed = 0;
  #passed = 0;

  constructor(sdk) {
    this.#sdk = sdk;
  }

  /// Makes a call and checks its answer; those that need what it made go on without.
  async call(name, work) {
    try {
      const result = await work();
      console.log(`${this.#sdk}  ok      ${name}`);
      this.#passed += 1;
      return result;
    } catch (error) {
      console.log(`${this.#sdk}  FAILED  ${name}: ${error.name}: ${error.message}`.replaceAll("\n", " "));
      this.#failed += 1;
    }
  }

  /// For what this SDK has no call for.
  absent(name) {
    console.log(`${this.#sdk}  absent  ${name}: this SDK has no such call`);
  }

  /// The sum, as the program's exit status.
  end() {
    console.log(`${this.#sdk}  ${this.#passed} calls pass, ${this.#failed} fail`);
    process.exitCode = this.#failed === 0 ? 0 : 1;
  }
}
