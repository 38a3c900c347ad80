package main

const sysStatx = 291
