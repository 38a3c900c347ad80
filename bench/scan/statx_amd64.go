package main

const sysStatx = 332
