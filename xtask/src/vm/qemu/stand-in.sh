#!/bin/sh
# For the tests, in qemu's place: what should be the kernel's image is a shell script, and its output the console's.
while [ "$1" != -kernel ]; do shift; done
. "$2"
