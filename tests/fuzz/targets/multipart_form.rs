#![no_main]

use intake::fuzzing::Target;

libfuzzer_sys::fuzz_target!(
    init: Target::named("multipart_form").write_seeds().expect("the seeds can be written"),
    |bytes: &[u8]| Target::named("multipart_form").run(bytes)
);
